//! Chapter: the versions of a stream are 1, 2, 3 … without gaps.

use highwater::{Append, ExpectedVersion, StreamHead, StreamVersion};

use super::LogFactory;
use super::given::{
    appended, events, everything, exactly, refused, stream, to_any, versions, whole_stream,
};

/// The first event of a stream has version 1.
pub async fn the_first_event_of_a_stream_has_version_one(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    assert_eq!(versions(&whole_stream(&*store, &stream("a")).await), [1]);
}

/// Versions and positions go on from append to append; the versions without a gap.
pub async fn versions_go_on_without_gaps_from_append_to_append(log: &dyn LogFactory) {
    let store = log.open().await;
    for count in [1, 3, 2] {
        appended(&*store, to_any(&stream("a"), events(count))).await;
        appended(&*store, to_any(&stream("between"), events(1))).await;
    }
    let read = whole_stream(&*store, &stream("a")).await;
    assert_eq!(versions(&read), [1, 2, 3, 4, 5, 6]);
    assert!(read.is_sorted_by(|a, b| a.position < b.position), "positions rise with versions");
}

/// The answer names the new version of each stream, in the append's order, and the position of
/// the last event.
pub async fn the_answer_names_the_new_heads_and_the_last_position(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("b"), events(4))).await;
    let any = ExpectedVersion::Any;
    let answer = appended(
        &*store,
        Append::to(stream("b"), any, events(2)).and_to(stream("a"), any, events(3)),
    )
    .await;
    let head =
        |key, version| StreamHead { stream: stream(key), version: StreamVersion::new(version) };
    assert_eq!(answer.heads, [head("b", 6), head("a", 3)]);
    assert!(!answer.was_repeated);
    let all = everything(&*store, &highwater::Selection::All).await;
    assert_eq!(all.last().map(|event| event.position), Some(answer.position));
}

/// Each stream counts for itself, also when they are appended to together.
pub async fn each_stream_counts_for_itself(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    let any = ExpectedVersion::Any;
    let both = Append::to(stream("a"), any, events(1)).and_to(stream("b"), any, events(2));
    appended(&*store, both).await;
    assert_eq!(versions(&whole_stream(&*store, &stream("a")).await), [1, 2, 3, 4, 5, 6]);
    assert_eq!(versions(&whole_stream(&*store, &stream("b")).await), [1, 2]);
}

/// However many append to one stream through however many handles: every append that expects
/// nothing succeeds, and the versions have no gap.
pub async fn concurrent_appends_to_one_stream_leave_no_gap(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    let appends = (0..40).map(|index| {
        let store = handles[index % 2].clone();
        tokio::spawn(async move { store.append(to_any(&stream("hot"), events(2))).await })
    });
    for task in appends.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    let read = whole_stream(&*handles[0], &stream("hot")).await;
    assert_eq!(versions(&read), (1..=80).collect::<Vec<u64>>());
    assert!(read.is_sorted_by(|a, b| a.position < b.position));
}

/// A failed append may leave a gap in the positions, never in the versions.
pub async fn a_failed_append_leaves_no_gap_in_the_versions(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    refused(&*store, Append::to(stream("a"), exactly(7), events(3))).await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    assert_eq!(versions(&whole_stream(&*store, &stream("a")).await), [1, 2]);
}
