//! What goes wrong with a file: full, locked, damaged, foreign. Nothing acknowledged is lost, and
//! the error says what to do.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use highwater_core::{
    Append, CheckpointError, CheckpointStore, EventId, EventStore, ExpectedVersion, GlobalPosition,
    KeyState, NewEvent, ReadError, Selection, StreamId, Subject,
};
use highwater_store_sqlite::{OpenError, SqliteFault, SqliteOptions, SqliteStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn append(key: &str, bytes: usize) -> Append {
    let stream = StreamId::new("test", key).expect("a stream");
    let event = NewEvent::new("happened", &"x".repeat(bytes)).expect("an event");
    Append::to(stream, ExpectedVersion::NoStream, vec![event])
}

fn ids(append: &Append) -> Vec<EventId> {
    append.events().map(|event| event.id).collect()
}

async fn positions(store: &SqliteStore) -> Vec<u64> {
    let page =
        store.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.expect("a page");
    page.events.iter().map(|event| event.position.get()).collect()
}

/// A connection beside the store's: another process.
async fn foreign(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.expect("a connection")
}

/// The fault in an error's chain of sources.
fn fault(error: &dyn Error) -> Option<&SqliteFault> {
    let source = error.source()?;
    source.downcast_ref().or_else(|| fault(source))
}

#[tokio::test]
async fn a_full_file_says_so_loses_nothing_and_goes_on_when_there_is_room() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let options = SqliteOptions::new().with_max_size_bytes(256 * 1024);
    let store = SqliteStore::open_with(&path, options).await.expect("a log");
    let mut kept = Vec::new();
    let refused = loop {
        let large = append(&kept.len().to_string(), 10_000);
        match store.append(large.clone()).await {
            Ok(_) => kept.push(large),
            Err(error) => {
                assert!(error.is_retryable());
                assert!(matches!(fault(&error), Some(SqliteFault::Full(_))), "{error:?}");
                break large;
            }
        }
    };
    assert!(kept.len() > 5, "{} appends fitted in", kept.len());
    assert_eq!(positions(&store).await.len(), kept.len());
    // What is small may still fit into pages that are there: the store isn't broken.
    let claim = store.claim("relay").await;
    assert!(matches!(claim, Ok(_) | Err(CheckpointError::Unavailable { .. })), "{claim:?}");
    assert!(store.append(refused.clone()).await.is_err(), "still full");
    store.close().await;

    let roomier = SqliteStore::open(&path).await.expect("the same log");
    for append in &kept {
        let again = roomier.append(append.clone()).await.expect("a repetition");
        assert!(again.was_repeated);
    }
    assert!(roomier.find(&ids(&refused)).await.expect("a read").is_empty());
    let appended = roomier.append(refused).await.expect("there is room");
    assert!(!appended.was_repeated);
    let count = kept.len() as u64 + 1;
    assert_eq!(positions(&roomier).await, (1..=count).collect::<Vec<_>>());
}

#[tokio::test]
async fn room_made_by_another_process_is_used_without_opening_the_log_again() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let options = SqliteOptions::new().with_max_size_bytes(192 * 1024);
    let store = SqliteStore::open_with(&path, options).await.expect("a log");
    let mut other = foreign(&path).await;
    for statement in
        ["CREATE TABLE ballast (bytes BLOB)", "INSERT INTO ballast VALUES (zeroblob(120000))"]
    {
        sqlx::raw_sql(statement).execute(&mut other).await.expect("ballast");
    }
    let large = append("large", 60_000);
    assert!(store.append(large.clone()).await.is_err(), "no room");
    sqlx::raw_sql("DELETE FROM ballast").execute(&mut other).await.expect("room");
    let appended = store.append(large).await.expect("there is room");
    assert!(!appended.was_repeated);
    assert_eq!(positions(&store).await, [1]);
}

#[tokio::test]
async fn a_foreign_transaction_holds_no_reader_and_an_append_for_the_lock_timeout_only() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let options = SqliteOptions::new().with_lock_timeout(Duration::from_millis(200));
    let store = SqliteStore::open_with(&path, options).await.expect("a log");
    store.append(append("before", 1)).await.expect("an append");

    let mut other = foreign(&path).await;
    let open = other.begin_with("BEGIN IMMEDIATE").await.expect("a transaction");
    assert_eq!(positions(&store).await, [1], "readers don't wait");
    let waiting = append("waiting", 1);
    let error = store.append(waiting.clone()).await.expect_err("locked");
    assert!(error.is_retryable());
    assert!(matches!(fault(&error), Some(SqliteFault::Busy(_))), "{error:?}");
    let error = store.claim("relay").await.expect_err("locked");
    assert!(matches!(fault(&error), Some(SqliteFault::Busy(_))), "{error:?}");

    open.rollback().await.expect("the lock is given back");
    let appended = store.append(waiting).await.expect("an append");
    assert!(!appended.was_repeated);
    assert_eq!(store.claim("relay").await.expect("a claim").epoch, 1);
    assert_eq!(positions(&store).await, [1, 2]);
}

#[tokio::test]
async fn what_a_foreign_transaction_changed_and_took_back_is_never_seen() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    let mut other = foreign(&path).await;
    let mut open = other.begin_with("BEGIN IMMEDIATE").await.expect("a transaction");
    sqlx::raw_sql(
        "INSERT INTO highwater_events VALUES
         (1, 'test-foreign', 1, randomblob(16), 'happened', 1, NULL, '1', NULL, 0)",
    )
    .execute(&mut *open)
    .await
    .expect("an event in flight");
    assert!(positions(&store).await.is_empty());
    let head = store.high_water_mark().await.expect("a mark");
    assert_eq!(head, GlobalPosition::START);
    open.rollback().await.expect("a rollback");
    // Nobody has seen position 1, so it is drawn again: no gap, and nothing to miss.
    store.append(append("own", 1)).await.expect("an append");
    assert_eq!(positions(&store).await, [1]);
}

#[tokio::test]
async fn what_is_no_log_is_refused_with_what_to_do_about_it() {
    let directory = directory();
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to be looked at".repeat(50))
        .expect("a file");
    let error = SqliteStore::open(&text).await.map(|_| ()).expect_err("no database");
    assert!(matches!(fault(&error), Some(SqliteFault::Corrupt(_))), "{error:?}");
    assert!(!error.is_retryable());
    let nowhere = directory.path().join("missing").join("log.db");
    let error = SqliteStore::open(&nowhere).await.map(|_| ()).expect_err("no directory");
    assert!(matches!(fault(&error), Some(SqliteFault::CantOpen(_))), "{error:?}");
    assert!(error.to_string().contains("missing"), "it names the file: {error}");
    let error = SqliteStore::open(":memory:").await.map(|_| ()).expect_err("no file");
    assert!(matches!(error, OpenError::NoWriteAheadLog { .. }), "{error:?}");
}

#[tokio::test]
async fn a_log_of_a_later_version_is_refused_and_left_as_it_is() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    store.append(append("kept", 1)).await.expect("an append");
    let mut other = foreign(&path).await;
    sqlx::raw_sql(
        "INSERT INTO highwater_migrations (version, description, success, checksum, execution_time)
         VALUES (9000, 'later', true, x'00', 0)",
    )
    .execute(&mut other)
    .await
    .expect("a later migration");
    let error = SqliteStore::open(&path).await.map(|_| ()).expect_err("a later version");
    assert!(matches!(error, OpenError::Foreign { version: 9000, .. }), "{error:?}");
    assert_eq!(positions(&store).await, [1]);
}

#[tokio::test]
async fn the_users_own_tables_and_migrations_are_left_alone() {
    let directory = directory();
    let path = directory.path().join("app.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut own = options.connect().await.expect("a database");
    sqlx::raw_sql(
        "CREATE TABLE events (mine); CREATE TABLE checkpoints (mine);
         CREATE TABLE _sqlx_migrations (mine); INSERT INTO events VALUES (1)",
    )
    .execute(&mut own)
    .await
    .expect("a user's tables");
    let store = SqliteStore::open(&path).await.expect("a log beside them");
    store.append(append("a", 1)).await.expect("an append");
    let mine: i64 = sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(&mut own)
        .await
        .expect("a count");
    assert_eq!(mine, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_file_at_the_same_moment() {
    let directory = directory();
    for round in 0..5 {
        let path = Arc::new(directory.path().join(format!("log {round}.db")));
        let opening = (0..8).map(|index| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(&*path).await.expect("a log");
                store.append(append(&index.to_string(), 1)).await.expect("an append");
            })
        });
        for task in opening.collect::<Vec<_>>() {
            task.await.expect("opened and appended");
        }
        let store = SqliteStore::open(&*path).await.expect("a log");
        assert_eq!(positions(&store).await, (1..=8).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_newest_event_cannot_be_deleted_so_no_position_is_given_twice() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    store.append(append("old", 1)).await.expect("an append");
    store.append(append("new", 1)).await.expect("an append");
    let mut other = foreign(&path).await;
    for statement in
        ["DELETE FROM highwater_events", "DELETE FROM highwater_events WHERE position = 2"]
    {
        let outcome = sqlx::raw_sql(statement).execute(&mut other).await;
        let message = outcome.expect_err("the newest event stays").to_string();
        assert!(message.contains("given twice"), "{message}");
    }
    sqlx::raw_sql("DELETE FROM highwater_events WHERE position = 1")
        .execute(&mut other)
        .await
        .expect("an older event may go");
    store.append(append("next", 1)).await.expect("an append");
    assert_eq!(positions(&store).await, [2, 3]);
}

#[tokio::test]
async fn an_event_that_is_damaged_is_named_and_those_before_it_can_be_read() {
    let directory = directory();
    let path = directory.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    for key in ["a", "b", "c"] {
        store.append(append(key, 1)).await.expect("an append");
    }
    let mut other = foreign(&path).await;
    sqlx::raw_sql("UPDATE highwater_events SET data = '{\"torn' WHERE position = 3")
        .execute(&mut other)
        .await
        .expect("damage");
    let error = store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    let error = error.expect_err("damaged");
    assert!(
        matches!(&error, ReadError::Corrupt { position, .. } if position.get() == 3),
        "{error:?}"
    );
    assert!(!error.is_retryable());
    let before = store.read_all(&Selection::All, GlobalPosition::START, 2).await;
    assert_eq!(before.expect("two whole events").events.len(), 2);
}

/// Somebody who reads a backup, say. The write-ahead log can't be emptied meanwhile, and that is no
/// reason to hold the writer's place.
#[tokio::test]
async fn forgetting_waits_for_no_reader_of_the_file() {
    use highwater_core::KeyStore;

    let directory = directory();
    let path = directory.path().join("log.db");
    let patient = SqliteOptions::new().with_lock_timeout(Duration::from_secs(600));
    let store = SqliteStore::open_with(&path, patient).await.expect("a log");
    store.append(append("a", 10)).await.expect("an append");
    let mut reader = foreign(&path).await;
    let mut reading = reader.begin().await.expect("a transaction");
    let read = sqlx::query("SELECT count(*) FROM highwater_events");
    read.execute(&mut *reading).await.expect("a read");
    let ann = Subject::new("ann").expect("a subject");
    let forgotten =
        tokio::time::timeout(Duration::from_secs(60), KeyStore::forget(&*store, &ann)).await;
    forgotten.expect("it waits for nobody").expect("it is forgotten");
    let newest = KeyStore::newest(&*store, &[ann]).await;
    assert_eq!(newest.expect("its state"), [KeyState::Forgotten]);
    store.append(append("b", 10)).await.expect("an append");
    reading.rollback().await.expect("the end of the read");
}
