//! Removal: what goes, what stays, and how the log goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use highwater::retention::Retention;
use highwater::{
    Append, AppendError, ExpectedVersion, GlobalPosition, ReadError, Selection, StreamVersion,
};

use super::RetentionFactory;
use crate::conformance::log::given::{
    appended, event, events, exactly, position, query_tagged, refused, stream, tagged, to_any,
};

fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

async fn remove_all_marked(store: &dyn Retention) -> u64 {
    let mut gone = 0;
    while let Some((_, events)) = store.remove_from_log(3).await.unwrap() {
        gone += events;
    }
    gone
}

/// One step, one short transaction.
pub async fn only_what_is_marked_goes_and_in_steps(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(7))).await;
    appended(&*store, to_any(&stream("b"), events(2))).await;
    assert_eq!(store.remove_from_stream(&stream("a"), 2).await.unwrap(), 0);
    store.mark_stream(&stream("a"), version(5)).await.unwrap();
    for gone in [2, 2, 1, 0] {
        assert_eq!(store.remove_from_stream(&stream("a"), 2).await.unwrap(), gone);
    }
    let left = store.read_all(&Selection::All, GlobalPosition::START, 10).await.unwrap();
    let left: Vec<_> = left.events.iter().map(|it| (it.stream.clone(), it.version.get())).collect();
    let (a, b) = (stream("a"), stream("b"));
    assert_eq!(left, [(a.clone(), 6), (a, 7), (b.clone(), 1), (b, 2)]);
}

/// By id, by tag, by type, by stream: gone is gone.
pub async fn what_is_removed_is_found_by_no_way_of_reading(log: &impl RetentionFactory) {
    let store = log.open().await;
    let old = tagged("happened", &["about:a", "about:a", "about:b"]);
    let id = old.id;
    appended(&*store, to_any(&stream("a"), vec![old, tagged("happened", &["about:a"])])).await;
    store.mark_stream(&stream("a"), version(1)).await.unwrap();
    assert_eq!(store.remove_from_stream(&stream("a"), 10).await.unwrap(), 1);
    assert!(store.find(&[id]).await.unwrap().is_empty());
    for (tags, count) in [(&["about:a"][..], 1), (&["about:b"], 0)] {
        let selection = Selection::Query(query_tagged(tags));
        let page = store.read_all(&selection, GlobalPosition::START, 10).await.unwrap();
        assert_eq!(page.events.len(), count, "{tags:?}");
    }
}

/// A version stands for one event for ever.
pub async fn versions_go_on_behind_what_was_truncated(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(4))).await;
    store.mark_stream(&stream("a"), version(3)).await.unwrap();
    store.remove_from_stream(&stream("a"), 10).await.unwrap();
    let append = Append::to(stream("a"), exactly(4), events(2));
    assert_eq!(appended(&*store, append).await.heads[0].version, version(6));
    let read = store.read_stream(&stream("a"), version(3), 10).await.unwrap();
    let versions: Vec<_> = read.iter().map(|event| event.version.get()).collect();
    assert_eq!(versions, [4, 5, 6]);
}

/// Also when no event is left to count from.
pub async fn a_stream_that_lost_all_its_events_goes_on_behind_its_last_version(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    let last = appended(&*store, to_any(&stream("a"), events(5))).await.position;
    appended(&*store, to_any(&stream("b"), events(1))).await;
    store.mark_log(last).await.unwrap();
    assert_eq!(remove_all_marked(&*store).await, 5);
    let as_new = Append::to(stream("a"), ExpectedVersion::NoStream, events(1));
    match refused(&*store, as_new).await {
        AppendError::VersionConflict { actual, .. } => assert_eq!(actual, version(5)),
        other => panic!("{other:?}"),
    }
    let head = store.stream_retention(&stream("a")).await.unwrap().head;
    assert_eq!(head, version(5));
    let append = Append::to(stream("a"), ExpectedVersion::StreamExists, events(1));
    assert_eq!(appended(&*store, append).await.heads[0].version, version(6));
    let append = Append::to(stream("a"), exactly(6), events(1));
    assert_eq!(appended(&*store, append).await.heads[0].version, version(7));
}

/// "No event" would be a lie that a decision could rest on.
pub async fn a_stream_that_lost_all_its_events_is_not_read_as_a_new_one(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    let last = appended(&*store, to_any(&stream("a"), events(5))).await.position;
    appended(&*store, to_any(&stream("b"), events(1))).await;
    store.mark_log(last).await.unwrap();
    remove_all_marked(&*store).await;
    for after in [0, 4] {
        let read = store.read_stream(&stream("a"), version(after), 10).await;
        assert!(matches!(read, Err(ReadError::StreamTruncated { .. })), "{read:?}");
    }
    assert!(store.read_stream(&stream("a"), version(5), 10).await.unwrap().is_empty());
    assert!(store.read_stream(&stream("new"), version(0), 10).await.unwrap().is_empty());
}

/// A position stands for one event for ever, too.
pub async fn positions_go_on_and_the_mark_does_not_fall(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    let before = store.high_water_mark().await.unwrap();
    store.mark_log(position(before.get() - 1)).await.unwrap();
    remove_all_marked(&*store).await;
    assert_eq!(store.high_water_mark().await.unwrap(), before);
    let again = log.open().await;
    assert_eq!(again.high_water_mark().await.unwrap(), before);
    assert!(appended(&*again, to_any(&stream("b"), events(1))).await.position > before);
}

/// Whatever is marked: the next position is counted from it.
pub async fn the_newest_event_of_the_log_stays(log: &impl RetentionFactory) {
    let store = log.open().await;
    let newest = appended(&*store, to_any(&stream("a"), events(3))).await.position;
    store.mark_log(newest).await.unwrap();
    store.mark_stream(&stream("a"), version(3)).await.unwrap();
    assert_eq!(remove_all_marked(&*store).await + 1, 3);
    assert_eq!(store.remove_from_stream(&stream("a"), 10).await.unwrap(), 0);
    assert_eq!(store.high_water_mark().await.unwrap(), newest);
}

/// A call that came twice does no harm.
pub async fn removing_again_removes_nothing(log: &impl RetentionFactory) {
    let store = log.open().await;
    let last = appended(&*store, to_any(&stream("a"), events(3))).await.position;
    appended(&*store, to_any(&stream("a"), vec![event("newest")])).await;
    store.mark_log(last).await.unwrap();
    assert_eq!(remove_all_marked(&*store).await, 3);
    assert_eq!(remove_all_marked(&*store).await, 0);
}

/// Nobody waits for a removal, and nobody sees a history with a hole in it: a reader gets every
/// version from the first that it asked for, or is told.
pub async fn appends_and_readers_go_on_beside_a_removal(log: &impl RetentionFactory) {
    let store = log.open().await;
    let old = appended(&*store, to_any(&stream("a"), events(300))).await.position;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut beside = Vec::new();
    for writer in 0..4 {
        let (store, is_over) = (log.open().await, is_over.clone());
        beside.push(tokio::spawn(async move {
            let mut acknowledged = 0;
            while !is_over.load(Ordering::Relaxed) || acknowledged == 0 {
                let own = stream(&format!("w{writer}"));
                let appended = appended(&*store, Append::to(own, exactly(acknowledged), events(1)));
                acknowledged = appended.await.heads[0].version.get();
                check_whole(&*store, 0).await;
                check_whole(&*store, 150).await;
            }
            acknowledged
        }));
    }
    store.mark_log(old).await.unwrap();
    assert_eq!(remove_all_marked(&*store).await, 300);
    is_over.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for (writer, task) in beside.into_iter().enumerate() {
        acknowledged.insert(stream(&format!("w{writer}")), task.await.unwrap());
    }
    for (own, count) in acknowledged {
        let read = store.read_stream(&own, StreamVersion::EMPTY, 100_000).await.unwrap();
        assert_eq!(read.len() as u64, count, "{own}");
    }
}

async fn check_whole(store: &dyn Retention, after: u64) {
    match store.read_stream(&stream("a"), version(after), 1_000).await {
        Ok(read) => assert_eq!(read.len() as u64, 301 - after),
        Err(ReadError::StreamTruncated { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}
