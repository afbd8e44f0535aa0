//! Old partitions leave the log whole.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use highwater::postgres::PostgresOptions;
use highwater::retention::{Retention, Truncation};
use highwater::{
    Append, EventStore, ExpectedVersion, GlobalPosition, ReadError, Selection, StreamVersion,
};
use highwater_tests::conformance::log::given::{event, events, everything, stream, tagged, to_any};

use super::*;

/// Fills partitions of 10 with 60 events of two streams, the last of them in a third.
async fn filled(store: &PostgresStore) {
    for round in 0..30 {
        let key = if round % 2 == 0 { "a" } else { "b" };
        let event = tagged("tested", &["about:a", "about:b"]);
        let append = to_any(&stream(key), vec![event]).and_to(
            stream(&format!("of-{round}")),
            ExpectedVersion::NoStream,
            events(1),
        );
        store.append(append).await.expect("an append");
    }
    store.append(to_any(&stream("newest"), events(1))).await.expect("an append");
}

/// Where the oldest sealed partitions end.
async fn end_of_sealed(store: &PostgresStore, count: usize) -> GlobalPosition {
    store.partitions().await.expect("the partitions")[count - 1].up_to
}

async fn removed_to(store: &PostgresStore, to: GlobalPosition) -> u64 {
    let truncation = Truncation::without_archive(store).with_step(100);
    truncation.of_log_to(to, &mut |_| {}).await.expect("truncated")
}

#[tokio::test]
async fn truncating_the_log_takes_whole_partitions_and_deletes_the_rest() {
    let (database, store) = log_in_partitions_of(10).await;
    filled(&store).await;
    let before = everything(&*store, &Selection::All).await;
    let mark = store.high_water_mark().await.expect("a mark");
    let to = GlobalPosition::new(end_of_sealed(&store, 3).await.get() + 3);
    let gone = removed_to(&store, to).await;
    assert_eq!(gone as usize, before.iter().filter(|event| event.position <= to).count());
    assert_eq!(partitions(&store, PartitionState::Sealed).await.first(), Some(&4));
    let client = session(&database).await;
    let left = "SELECT count(*) FROM pg_class WHERE relname ~ '^(events|event_tags)_[123]$'";
    assert_eq!(number(&client, left).await, 0);
    assert_eq!(store.high_water_mark().await.expect("a mark"), mark);

    let refused = store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    assert!(matches!(refused, Err(ReadError::LogTruncated { .. })), "{refused:?}");
    let rest = store.read_all(&Selection::All, to, 1_000).await.expect("a page").events;
    assert_eq!(rest.len() + gone as usize, before.len());
    // A stream whose events all went goes on behind its last version.
    let again = Append::to(
        stream("of-0"),
        ExpectedVersion::Exact(StreamVersion::new(1)),
        vec![event("tested")],
    );
    let appended = store.append(again).await.expect("it goes on");
    assert_eq!(appended.heads[0].version, StreamVersion::new(2));
}

#[tokio::test]
async fn a_kept_partition_is_there_as_a_table_until_it_is_dropped() {
    let (database, store) = log_in_partitions_of(10).await;
    filled(&store).await;
    store.close().await;
    let options = PostgresOptions::new().with_detached_partitions_kept();
    let store = PostgresStore::connect_with(database.url(), options).await.expect("a log");
    removed_to(&store, end_of_sealed(&store, 2).await).await;
    assert_eq!(partitions(&store, PartitionState::Detached).await, [1, 2]);
    let client = session(&database).await;
    assert!(number(&client, "SELECT count(*) FROM highwater.events_1").await > 0);
    let in_log = "SELECT count(*) FROM highwater.events WHERE position <= 5";
    assert_eq!(number(&client, in_log).await, 0);
    for partition in [1, 1, 3] {
        store.drop_detached_partition(partition).await.expect("dropped, or nothing to drop");
    }
    assert_eq!(partitions(&store, PartitionState::Detached).await, [2]);
    assert_eq!(partitions(&store, PartitionState::Sealed).await.first(), Some(&3));
    let is_there = "SELECT count(to_regclass('highwater.events_1')) FROM pg_class LIMIT 1";
    assert_eq!(number(&client, is_there).await, 0);
}

/// Each step leaves its trace, and whoever comes next goes on from there.
#[tokio::test]
async fn a_removal_that_stopped_at_any_step_is_ended_by_another_process() {
    let (database, store) = log_in_partitions_of(10).await;
    filled(&store).await;
    let to = end_of_sealed(&store, 2).await;
    store.mark_log(to).await.expect("a mark");
    // In the middle of preparing the first.
    store.remove_from_log(4).await.expect("a step").expect("some are left");
    store.close().await;
    // Behind taking off the first, and in front of dropping it.
    let options = PostgresOptions::new().with_detached_partitions_kept();
    let store = PostgresStore::connect_with(database.url(), options).await.expect("a log");
    while partitions(&store, PartitionState::Detached).await.is_empty() {
        store.remove_from_log(4).await.expect("a step").expect("some are left");
    }
    store.close().await;
    let store = open(&database).await;
    while store.remove_from_log(4).await.expect("a step").is_some() {}
    assert!(partitions(&store, PartitionState::Detached).await.is_empty());
    assert_eq!(partitions(&store, PartitionState::Sealed).await.first(), Some(&3));
}

/// Nothing of what the partition holds is read, written or moved: so it takes as long for ten events as
/// for ten millions.
#[tokio::test]
async fn taking_a_partition_off_touches_none_of_its_rows() {
    let (database, store) = log_in_partitions_of(10).await;
    filled(&store).await;
    let client = session(&database).await;
    let prepared = "SELECT highwater.begin_retention();
        UPDATE highwater.log_retention SET removed_to = 25;
        UPDATE highwater.log_partitions SET prepared_to = up_to";
    run(&client, prepared).await;
    let file = "SELECT pg_relation_filenode('highwater.events_1')::bigint";
    let before = number(&client, file).await;
    run(&client, "BEGIN; SELECT highwater.detach_partition(1)").await;
    let touched = "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0) + n_tup_ins
            + n_tup_upd + n_tup_del), 0)::bigint
        FROM pg_stat_xact_user_tables WHERE relname IN ('events_1', 'event_tags_1')";
    assert_eq!(number(&client, touched).await, 0);
    assert_eq!(number(&client, file).await, before);
    // The look can see something: a count reads them all.
    run(&client, "SELECT count(*) FROM highwater.events_1").await;
    assert!(number(&client, touched).await > 0);
    run(&client, "COMMIT").await;
}

#[tokio::test]
async fn a_partition_that_is_live_or_unmarked_or_newest_is_not_taken_off() {
    let (database, store) = log_in_partitions_of(2).await;
    let client = session(&database).await;
    let detach = "SELECT highwater.detach_partition(1)";
    run(&client, "SELECT highwater.begin_retention()").await;
    store.append(to_any(&stream("a"), events(2))).await.expect("an append");
    // Live: left as it is.
    run(&client, detach).await;
    assert_eq!(partitions(&store, PartitionState::Live).await, [1]);
    // Sealed, and the newest event of the log is in it.
    run(&client, "SELECT highwater.roll_over(1)").await;
    run(&client, "UPDATE highwater.log_retention SET removed_to = 2").await;
    run(&client, "UPDATE highwater.log_partitions SET prepared_to = up_to WHERE number = 1").await;
    assert!(client.batch_execute(detach).await.is_err());
    // Not prepared.
    store.append(to_any(&stream("b"), events(1))).await.expect("an append");
    run(&client, "UPDATE highwater.log_partitions SET prepared_to = 1 WHERE number = 1").await;
    assert!(client.batch_execute(detach).await.is_err());
    // Not marked.
    run(&client, "UPDATE highwater.log_partitions SET prepared_to = up_to WHERE number = 1").await;
    run(&client, "UPDATE highwater.log_retention SET removed_to = 1").await;
    assert!(client.batch_execute(detach).await.is_err());
    run(&client, "UPDATE highwater.log_retention SET removed_to = 2").await;
    run(&client, detach).await;
    assert_eq!(partitions(&store, PartitionState::Detached).await, [1]);
}

/// What the marks of the streams are for: the same without them.
#[tokio::test]
async fn without_the_marks_of_its_streams_a_partition_would_take_their_versions_along() {
    let (database, store) = log_in_partitions_of(2).await;
    store.append(to_any(&stream("a"), events(2))).await.expect("an append");
    store.append(to_any(&stream("b"), events(1))).await.expect("an append");
    let unprepared = "SELECT highwater.begin_retention();
        UPDATE highwater.log_retention SET removed_to = 2;
        UPDATE highwater.log_partitions SET prepared_to = up_to;
        SELECT highwater.detach_partition(1)";
    run(&session(&database).await, unprepared).await;
    let again = store.append(to_any(&stream("a"), events(1))).await.expect("an append");
    assert_eq!(again.heads[0].version, StreamVersion::new(1), "1 stands for two events");
}

/// Removals and appends side by side: whatever went, no version is given twice and none is left out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_leave_beside_writers_and_no_version_is_given_twice() {
    let (database, store) = log_in_partitions_of(20).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..8_usize {
        let (store, is_over) = (open(&database).await, is_over.clone());
        writers.push(tokio::spawn(async move {
            let mut given = Vec::new();
            let mut round = 0;
            // Bounded: more partitions than leave in time would make everybody slow.
            while !is_over.load(Ordering::Relaxed) && round < 300 {
                // Some go on all the time, others come back long after their partition went.
                let key = match (writer + round) % 3 {
                    0 => "hot".to_owned(),
                    1 => format!("warm-{}", round % 7),
                    _ => format!("cold-{}", round % 97),
                };
                let append = to_any(&stream(&key), vec![tagged("tested", &["about:a"])]);
                let appended = store.append(append).await.expect("an append");
                given.push((key, appended.heads[0].version));
                round += 1;
            }
            given
        }));
    }
    let mut taken = 0;
    while taken < 30 {
        let sealed = partitions(&store, PartitionState::Sealed).await;
        if sealed.len() < 4 {
            tokio::task::yield_now().await;
            continue;
        }
        removed_to(&store, end_of_sealed(&store, sealed.len() - 2).await).await;
        taken += sealed.len() - 2;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut given = Vec::new();
    for writer in writers {
        given.extend(writer.await.expect("no panic"));
    }
    let count = given.len();
    let versions: HashSet<_> = given.into_iter().collect();
    assert_eq!(versions.len(), count, "a version was given twice");
    for (key, version) in &versions {
        let before = StreamVersion::new(version.get() - 1);
        let is_first = before == StreamVersion::EMPTY;
        assert!(is_first || versions.contains(&(key.clone(), before)), "{key} lacks {before}");
    }
}
