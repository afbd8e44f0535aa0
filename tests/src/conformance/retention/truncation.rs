//! Truncation: the questions that are asked before events go.

use std::num::NonZeroUsize;

use highwater::retention::{
    Archive, ArchiveScope, Retention, TruncateError, Truncation, VerifiedArchive,
};
use highwater::{
    GlobalPosition, MemoryStore, Payload, ReadError, Snapshot, StateSchema, StreamVersion,
};
use tempfile::TempDir;

use super::RetentionFactory;
use super::archives::of_what_was_lost;
use crate::conformance::log::given::{appended, events, position, stream, to_any, versions};

fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

fn schema() -> StateSchema {
    StateSchema { name: "counter".into(), version: 1 }
}

async fn snapshot_at(store: &dyn Retention, key: &str, at: u64) {
    let read = store.read_stream(&stream(key), version(at - 1), 1).await.unwrap();
    let snapshot = Snapshot {
        stream: stream(key),
        schema: schema(),
        version: version(at),
        position: read[0].position,
        last_event: read[0].id,
        data: Payload::from_value(&at).unwrap(),
        taken_at: read[0].recorded_at,
    };
    let snapshots = store.snapshots().unwrap();
    snapshots.save_snapshot(&snapshot, NonZeroUsize::MIN).await.unwrap();
}

async fn archived(store: &dyn Retention, scope: ArchiveScope) -> (TempDir, VerifiedArchive) {
    let directory = tempfile::tempdir().unwrap();
    let archive = Archive::in_directory(directory.path());
    let verified = archive.write(store, scope, &mut |_| {}).await.unwrap();
    (directory, verified)
}

/// Nothing but a snapshot can stand for what goes; and its own event stays, to bear it out.
pub async fn without_a_snapshot_at_the_first_event_that_stays_nothing_goes(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    let truncation = Truncation::without_archive(&*store);
    for snapshot in [0, 4] {
        if snapshot > 0 {
            snapshot_at(&*store, "a", snapshot).await;
        }
        match truncation.of_stream_before(&stream("a"), version(5), &schema()).await {
            Err(TruncateError::NoSnapshot { before, snapshot: found, .. }) => {
                assert_eq!((before, found), (version(5), version(snapshot)));
            }
            other => panic!("{other:?}"),
        }
    }
    snapshot_at(&*store, "a", 7).await;
    let other = StateSchema { version: 2, ..schema() };
    let refusal = truncation.of_stream_before(&stream("a"), version(5), &other).await;
    assert!(matches!(refusal, Err(TruncateError::NoSnapshot { .. })), "{refusal:?}");
    assert_eq!(store.read_stream(&stream("a"), version(0), 20).await.unwrap().len(), 10);
}

/// The stream is loaded from the snapshot's own event on, and from no earlier one.
pub async fn behind_a_snapshot_the_older_events_go(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    snapshot_at(&*store, "a", 7).await;
    let truncation = Truncation::without_archive(&*store).with_step(2);
    let gone = truncation.of_stream_before(&stream("a"), version(7), &schema()).await.unwrap();
    assert_eq!(gone, 6);
    let read = store.read_stream(&stream("a"), version(6), 20).await.unwrap();
    assert_eq!(versions(&read), [7, 8, 9, 10]);
    let from_start = store.read_stream(&stream("a"), version(0), 20).await;
    assert!(matches!(from_start, Err(ReadError::StreamTruncated { .. })), "{from_start:?}");
    let again = truncation.of_stream_before(&stream("a"), version(7), &schema()).await.unwrap();
    assert_eq!(again, 0);
}

/// A stream goes on behind its newest event.
pub async fn the_newest_event_of_a_stream_stays(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(3))).await;
    snapshot_at(&*store, "a", 3).await;
    let truncation = Truncation::without_archive(&*store);
    let gone = truncation.of_stream_before(&stream("a"), version(3), &schema()).await.unwrap();
    assert_eq!(gone, 2);
    let mark = store.high_water_mark().await.unwrap();
    match truncation.of_log_to(mark, &mut |_| {}).await {
        Err(TruncateError::LogHeadStays { to, .. }) => assert_eq!(to, mark),
        other => panic!("{other:?}"),
    }
}

/// The one that stands furthest back is told of, whether the store knows it or the caller.
pub async fn what_a_consumer_has_not_read_stays_and_the_consumer_is_named(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    for (consumer, at) in [("relay", 5), ("saga", 3)] {
        let claim = store.claim(consumer).await.unwrap();
        store.advance(&claim, position(at), None).await.unwrap();
    }
    let truncation = || Truncation::without_archive(&*store);
    let holder = |refusal| match refusal {
        Err(TruncateError::Unread { consumer, position, .. }) => (consumer, position.get()),
        other => panic!("{other:?}"),
    };
    let refusal = truncation().of_log_to(position(4), &mut |_| {}).await;
    assert_eq!(holder(refusal), ("saga".to_owned(), 3));
    let named = truncation().with_consumer("orders by day", position(1));
    let refusal = named.of_log_to(position(2), &mut |_| {}).await;
    assert_eq!(holder(refusal), ("orders by day".to_owned(), 1));
    assert_eq!(truncation().of_log_to(position(3), &mut |_| {}).await.unwrap(), 3);
    let forced = truncation().even_if_unread();
    assert_eq!(forced.of_log_to(position(4), &mut |_| {}).await.unwrap(), 1);
}

/// Covered to the last event, by an archive of the log or of the stream.
pub async fn what_nobody_archived_stays(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(6))).await;
    appended(&*store, to_any(&stream("b"), events(1))).await;
    snapshot_at(&*store, "a", 6).await;
    let (_of_log, log_to_3) =
        archived(&*store, ArchiveScope::of_log(position(0), position(3))).await;
    let (_of_stream, stream_to_3) =
        archived(&*store, ArchiveScope::of_stream(stream("a"), version(0), version(3))).await;
    for archive in [&log_to_3, &stream_to_3] {
        let truncation = Truncation::archived(&*store, archive);
        let refusal = truncation.of_stream_before(&stream("a"), version(5), &schema()).await;
        assert!(matches!(refusal, Err(TruncateError::NotArchived { .. })), "{refusal:?}");
    }
    for (archive, before, gone) in [(&stream_to_3, 3, 2), (&log_to_3, 4, 1)] {
        let truncation = Truncation::archived(&*store, archive);
        let went = truncation.of_stream_before(&stream("a"), version(before), &schema()).await;
        assert_eq!(went.unwrap(), gone);
    }
    let refusal =
        Truncation::archived(&*store, &log_to_3).of_log_to(position(4), &mut |_| {}).await;
    assert!(matches!(refusal, Err(TruncateError::NotArchived { .. })), "{refusal:?}");
}

/// The same numbers, other events.
pub async fn the_archive_of_another_log_does_not_count(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(6))).await;
    let other = MemoryStore::new();
    appended(&other, to_any(&stream("a"), events(6))).await;
    let (_directory, foreign) =
        archived(&other, ArchiveScope::of_log(position(0), position(5))).await;
    let refusal = Truncation::archived(&*store, &foreign).of_log_to(position(4), &mut |_| {}).await;
    assert!(matches!(refusal, Err(TruncateError::ForeignArchive { .. })), "{refusal:?}");
    assert_eq!(store.removed_to().await.unwrap(), GlobalPosition::START);
}

/// Its first event and its last are in the log; those of a file between them are not.
pub async fn an_archive_with_a_file_of_another_history_does_not_count(log: &impl RetentionFactory) {
    let store = log.open().await;
    let (_directory, archive) = of_what_was_lost(&*store).await;
    let rest = ArchiveScope::of_log(position(8), position(11));
    archive.write(&*store, rest, &mut |_| {}).await.unwrap();
    let mixed = ArchiveScope::of_log(position(0), position(11));
    let mixed = archive.verify(mixed).await.unwrap();
    let refusal = Truncation::archived(&*store, &mixed).of_log_to(position(10), &mut |_| {}).await;
    assert!(matches!(refusal, Err(TruncateError::ForeignArchive { .. })), "{refusal:?}");
    assert_eq!(store.removed_to().await.unwrap(), GlobalPosition::START);
}

/// To forget a stream takes two steps on purpose: end it, then empty it.
pub async fn all_events_of_an_ended_stream_may_go_but_of_no_other(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    let truncation = Truncation::without_archive(&*store);
    let refusal = truncation.of_tombstoned(&stream("a")).await;
    assert!(matches!(refusal, Err(TruncateError::NotTombstoned { .. })), "{refusal:?}");
    store.tombstone(&stream("a")).await.unwrap();
    assert_eq!(truncation.of_tombstoned(&stream("a")).await.unwrap(), 5);
    assert_eq!(truncation.of_tombstoned(&stream("a")).await.unwrap(), 0);
    assert!(store.stream_retention(&stream("a")).await.unwrap().is_tombstoned);
}

/// A process that died behind the mark, or behind one step, has lost nothing and left no riddle.
pub async fn a_truncation_that_was_stopped_is_ended_by_the_next(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    snapshot_at(&*store, "a", 8).await;
    store.mark_stream(&stream("a"), version(7)).await.unwrap();
    assert_eq!(store.remove_from_stream(&stream("a"), 3).await.unwrap(), 3);
    drop(store);
    let store = log.open().await;
    let from_start = store.read_stream(&stream("a"), version(0), 20).await;
    assert!(matches!(from_start, Err(ReadError::StreamTruncated { .. })), "{from_start:?}");
    let truncation = Truncation::without_archive(&*store);
    let gone = truncation.of_stream_before(&stream("a"), version(8), &schema()).await.unwrap();
    assert_eq!(gone, 4);
    store.mark_log(position(8)).await.unwrap();
    assert_eq!(truncation.of_log_to(position(8), &mut |_| {}).await.unwrap(), 1);
}

/// Step by step, and whoever waits sees how far it is.
pub async fn the_oldest_part_of_the_log_goes_with_progress(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(10))).await;
    let mut seen = Vec::new();
    let truncation = Truncation::without_archive(&*store).with_step(4);
    let mut tell = |progress: highwater::retention::RetentionProgress| {
        seen.push((progress.done, progress.total, progress.events));
    };
    assert_eq!(truncation.of_log_to(position(9), &mut tell).await.unwrap(), 9);
    assert_eq!(seen, [(4, 9, 4), (8, 9, 8), (9, 9, 9), (9, 9, 9)]);
    assert_eq!(store.removed_to().await.unwrap(), position(9));
}
