//! Partitions are attached while nobody reads, ahead of time: appends wait for no reader unless one reads
//! on for as long as a whole partition lasts.

use highwater::EventStore;
use highwater_tests::conformance::log::given::{events, stream, to_any};

use tokio_postgres::SimpleQueryMessage;

use super::broken::changed;
use super::*;

/// A dump keeps a lock on each table and view until it ends, and may take hours.
async fn begin_dump(dump: &Client) {
    run(dump, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    let lock_all = "DO $$ DECLARE held regclass; BEGIN
        FOR held IN SELECT oid FROM pg_class
            WHERE relnamespace = 'highwater'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        LOOP EXECUTE format('LOCK %s IN ACCESS SHARE MODE', held); END LOOP; END $$";
    run(dump, lock_all).await;
}

async fn append(store: &PostgresStore, count: usize) {
    store.append(to_any(&stream("a"), events(count))).await.expect("an append");
}

const IS_WAITED_FOR: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%roll_over(%')";

#[tokio::test]
async fn the_next_partition_becomes_live_beside_a_dump_and_another_is_added_behind_it() {
    let (database, store) = log_in_partitions_of(10).await;
    let (dump, looking) = (session(&database).await, session(&database).await);
    begin_dump(&dump).await;
    append(&store, 10).await;
    append(&store, 10).await;
    assert_eq!(partitions(&store, PartitionState::Live).await, [2]);
    assert!(partitions(&store, PartitionState::Next).await.is_empty(), "the dump is in the way");
    run(&dump, "COMMIT").await;
    until(&looking, HAS_NEXT).await;
    assert_eq!(partitions(&store, PartitionState::Next).await, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_wait_for_a_dump_only_where_it_outlasts_the_partition_that_was_next() {
    let (database, store) = log_in_partitions_of(2).await;
    let (dump, looking) = (session(&database).await, session(&database).await);
    begin_dump(&dump).await;
    append(&store, 2).await;
    append(&store, 2).await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { append(&store, 1).await })
    };
    until(&looking, IS_WAITED_FOR).await;
    assert!(!waiting.is_finished());
    run(&dump, "COMMIT").await;
    waiting.await.expect("it was appended");
    assert_eq!(store.high_water_mark().await.expect("a mark").get(), 5);
}

async fn executed(reader: &Client) -> i64 {
    let rows = reader.simple_query("EXECUTE counted").await.expect("an answer");
    let row = rows.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
        _ => None,
    });
    row.expect("a number")
}

/// Whoever made the newest partition live was lost before it could add another: the next store that is
/// opened does, or who comes to the end. But a caller that reads before it appends is in its own way.
#[tokio::test]
async fn a_partition_that_nobody_added_is_added_by_whoever_misses_it() {
    let (database, store) = log_in_partitions_of(2).await;
    let (owner, mut client) = (session(&database).await, session(&database).await);
    let lose_the_next = "SELECT highwater.roll_over(3)";
    run(&owner, lose_the_next).await;
    assert!(partitions(&store, PartitionState::Next).await.is_empty());
    let other = open(&database).await;
    until(&owner, HAS_NEXT).await;

    run(&owner, "SELECT highwater.roll_over(100)").await;
    assert!(partitions(&store, PartitionState::Next).await.is_empty());
    let fill = "SELECT setval('highwater.event_position', up_to) FROM highwater.log_partitions
        WHERE state = 'live'";
    run(&owner, fill).await;
    let transaction = client.transaction().await.expect("a transaction");
    transaction.query("SELECT FROM highwater.events", &[]).await.expect("a look");
    let one = to_any(&stream("a"), events(1));
    let error = other.append_in(&transaction, one.clone()).await.expect_err("it is in the way");
    assert!(error.is_retryable(), "{error:?}");
    transaction.rollback().await.expect("a roll-back");
    until(&owner, HAS_NEXT).await;
    let transaction = client.transaction().await.expect("a transaction");
    transaction.query("SELECT FROM highwater.events", &[]).await.expect("a look");
    other.append_in(&transaction, one).await.expect("an append");
    transaction.commit().await.expect("a commit");
}

/// What a transaction counts that has read the log before others fill three partitions, or as many as
/// they can: and how many events there are.
async fn counted_by_a_transaction_that_has_read_before(change: &str) -> (i64, i64) {
    let (database, store) = log_in_partitions_of(2).await;
    let (reader, looking) = (session(&database).await, session(&database).await);
    run(&looking, change).await;
    // Prepared, as the store's own statements are.
    let prepare = "SET plan_cache_mode = force_generic_plan;
        PREPARE counted AS SELECT count(*) FROM highwater.events";
    run(&reader, prepare).await;
    run(&reader, "BEGIN").await;
    executed(&reader).await;
    append(&store, 2).await;
    append(&store, 2).await;
    let fifth = {
        let store = store.clone();
        tokio::spawn(async move { append(&store, 1).await })
    };
    until(&looking, &format!("{IS_WAITED_FOR} OR (SELECT count(*) = 5 FROM highwater.events)"))
        .await;
    let counted = executed(&reader).await;
    let there = number(&looking, "SELECT count(*) FROM highwater.events").await;
    run(&reader, "COMMIT").await;
    fifth.await.expect("it was appended");
    (counted, there)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_has_read_the_log_sees_every_partition_that_comes() {
    let (counted, there) = counted_by_a_transaction_that_has_read_before("").await;
    assert_eq!(counted, there);
    let lock =
        "LOCK TABLE ONLY highwater.events, ONLY highwater.event_tags IN ACCESS EXCLUSIVE MODE;";
    let beside_readers = changed("attach_behind", &[(lock, "")]);
    // Other sessions' changes may make this one look around in between: then it knows by chance.
    for _ in 0..20 {
        let (counted, there) = counted_by_a_transaction_that_has_read_before(&beside_readers).await;
        if counted < there {
            return;
        }
    }
    panic!("the variant can't fail");
}
