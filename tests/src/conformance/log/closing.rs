//! Chapter: a store that is closed takes no more appends, and loses none of those in flight.

use std::sync::Arc;

use highwater::{AppendError, EventId};
use tokio::sync::Barrier;

use super::LogFactory;
use super::given::{events, refused, stream, to_any};

/// An append after the close is refused, and appends nothing.
pub async fn a_closed_store_takes_no_append(log: &dyn LogFactory) {
    let store = log.open().await;
    store.close().await;
    let append = to_any(&stream("a"), events(1));
    let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
    let refusal = refused(&*store, append).await;
    assert!(matches!(refusal, AppendError::Closed), "{refusal:?}");
    assert!(!refusal.is_retryable());
    assert!(log.open().await.find(&ids).await.unwrap().is_empty());
}

/// When `close` returns, every append has its outcome: acknowledged and in the log, or `Closed`
/// and not.
pub async fn closing_waits_for_the_appends_in_flight(log: &dyn LogFactory) {
    let store = log.open().await;
    let together = Arc::new(Barrier::new(33));
    let tasks = (0..32).map(|index| {
        let (store, together) = (store.clone(), together.clone());
        let append = to_any(&stream(&index.to_string()), events(2));
        let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
        tokio::spawn(async move {
            together.wait().await;
            (ids, store.append(append).await)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    together.wait().await;
    store.close().await;
    let reader = log.open().await;
    let head = reader.high_water_mark().await.unwrap();
    for task in tasks {
        let (ids, outcome) = task.await.unwrap();
        let found = reader.find(&ids).await.unwrap();
        match outcome {
            Ok(appended) => {
                assert_eq!(found.len(), 2, "acknowledged and not in the log");
                assert!(appended.position <= head, "committed after close had returned");
            }
            Err(AppendError::Closed) => assert!(found.is_empty(), "refused and in the log"),
            Err(other) => panic!("expected Closed, got {other:?}"),
        }
    }
}

/// Closing again returns, also when several close at the same moment.
pub async fn closing_twice_is_harmless(log: &dyn LogFactory) {
    let store = log.open().await;
    let other = store.clone();
    let closing = tokio::spawn(async move { other.close().await });
    store.close().await;
    closing.await.unwrap();
    store.close().await;
}
