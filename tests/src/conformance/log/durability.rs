//! Chapter, for stores that outlive their process: what was acknowledged is there afterwards.
//!
//! The death of a process in mid-append belongs to the fault tests; this is the orderly part.

use highwater::{Appended, ExpectedVersion, Payload, Selection};

use super::LogFactory;
use super::given::{
    appended, events, everything, position, stream, tagged, to_any, versions, whole_stream,
};

/// Every event comes back whole from a store that was opened after the first one was closed.
pub async fn what_was_acknowledged_is_there_when_the_log_is_opened_again(log: &dyn LogFactory) {
    let store = log.open().await;
    for index in 0..10 {
        let given = vec![tagged("kept", &["k:1"]), tagged("kept", &["k:2"])];
        appended(&*store, to_any(&stream(&index.to_string()), given)).await;
    }
    let before = everything(&*store, &Selection::All).await;
    store.close().await;
    drop(store);
    let again = log.open().await;
    assert_eq!(everything(&*again, &Selection::All).await, before);
    assert_eq!(before.len(), 20);
}

/// Neither versions nor positions start anew.
pub async fn positions_and_versions_go_on_when_the_log_is_opened_again(log: &dyn LogFactory) {
    let mut last = position(0);
    for round in 1..=4 {
        let store = log.open().await;
        let answer = appended(&*store, to_any(&stream("a"), events(1))).await;
        assert!(answer.position > last, "round {round}: positions go on");
        last = answer.position;
        store.close().await;
    }
    let store = log.open().await;
    assert_eq!(versions(&whole_stream(&*store, &stream("a")).await), [1, 2, 3, 4]);
}

/// Who doesn't know whether an append came through may ask from anywhere.
pub async fn an_append_repeated_in_another_process_is_recognised(log: &dyn LogFactory) {
    let store = log.open().await;
    let append = highwater::Append::to(stream("a"), ExpectedVersion::NoStream, events(2));
    let first = appended(&*store, append.clone()).await;
    store.close().await;
    let again = appended(&*log.open().await, append).await;
    assert_eq!(again, Appended { was_repeated: true, ..first });
}

/// Positions, states and epochs of consumers are durable: a restart can't revive a zombie.
pub async fn checkpoints_and_their_epochs_outlive_their_store(log: &dyn LogFactory) {
    let state = Payload::from_value(&"state").unwrap();
    let store = log.open().await;
    let first = store.claim("relay").await.unwrap();
    store.advance(&first, position(4), Some(&state)).await.unwrap();
    store.close().await;
    drop(store);
    let store = log.open().await;
    let second = store.claim("relay").await.unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!((second.position, second.state.clone()), (position(4), Some(state)));
    assert!(store.advance(&first, position(9), None).await.is_err());
}

/// Closing is about one handle, not about the log.
pub async fn closing_one_handle_leaves_the_others_open(log: &dyn LogFactory) {
    let (closed, open) = (log.open().await, log.open().await);
    closed.close().await;
    appended(&*open, to_any(&stream("a"), events(1))).await;
    assert_eq!(whole_stream(&*open, &stream("a")).await.len(), 1);
}
