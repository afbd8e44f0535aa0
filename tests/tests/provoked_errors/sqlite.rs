//! What only a file can do wrong. Full, locked, damaged and foreign files are the business of
//! `store-sqlite/tests/faults.rs`.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use highwater::sqlite::{OpenError, SqliteFault, SqliteOptions, SqliteStore};
use highwater::{
    Append, AppendError, EventStore, ExpectedVersion, NewEvent, ReadError, Selection, StreamId,
};
use highwater_tests::conformance::log::given::everything;
use sqlx::{Connection, SqliteConnection};

fn append(key: &str, event_type: &str, bytes: usize) -> Append {
    let stream = StreamId::new("test", key).expect("a name");
    let event = NewEvent::new(event_type, &"x".repeat(bytes)).expect("a text is JSON");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

pub(crate) async fn foreign(path: &Path, statement: &'static str) {
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("a file");
    sqlx::raw_sql(statement).execute(&mut connection).await.expect(statement);
}

/// The fault in an error's chain of sources.
fn fault<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a SqliteFault> {
    let source = error.source()?;
    source.downcast_ref().or_else(|| fault(source))
}

#[tokio::test]
async fn a_constraint_in_the_file_fails_the_append_that_violates_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    foreign(
        &path,
        "CREATE TRIGGER no_secrets BEFORE INSERT ON highwater_events WHEN NEW.type = 'secret'
         BEGIN SELECT RAISE(ABORT, 'no secrets here'); END",
    )
    .await;
    let error = store.append(append("a", "secret", 1)).await.expect_err("a constraint");
    assert!(matches!(fault(&error), Some(SqliteFault::Other(_))), "{error:?}");
    store.append(append("a", "open", 1)).await.expect("no constraint");
    assert_eq!(everything(&*store, &Selection::All).await.len(), 1);
}

/// SQLite only reads a file whose header names a format for writing that it doesn't know.
#[tokio::test]
async fn a_file_of_a_later_format_takes_no_append() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    let kept = append("a", "kept", 1);
    store.append(kept.clone()).await.expect("an append");
    foreign(&path, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let format = |version: u8| {
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
        std::os::unix::fs::FileExt::write_at(&file, &[version], 18).expect("a byte");
    };
    format(3);
    // Another process opens it, or this one goes on with it.
    let outcome = match SqliteStore::open(&path).await {
        Err(error) => fault(&error).map(ToString::to_string),
        Ok(opened) => {
            let error = opened.append(append("a", "lost", 1)).await.expect_err("only read");
            assert!(matches!(fault(&error), Some(SqliteFault::ReadOnly(_))), "{error:?}");
            fault(&error).map(ToString::to_string)
        }
    };
    assert!(outcome.is_some_and(|told| told.contains("may not be written to")));
    format(2);
    let store = SqliteStore::open(&path).await.expect("the known format");
    assert!(store.append(kept).await.expect("nothing is lost").was_repeated);
}

#[tokio::test]
async fn tables_that_are_in_the_way_are_left_as_they_are() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    foreign(&path, "CREATE TABLE highwater_events (mine); INSERT INTO highwater_events VALUES (7)")
        .await;
    let error = SqliteStore::open(&path).await.map(drop).expect_err("somebody else's table");
    assert!(matches!(error, OpenError::Migrate { .. }), "{error:?}");
    let url = format!("sqlite://{}", path.display());
    let mut own = SqliteConnection::connect(&url).await.expect("a file");
    let mine: i64 = sqlx::query_scalar("SELECT mine FROM highwater_events")
        .fetch_one(&mut own)
        .await
        .expect("the row");
    assert_eq!(mine, 7);
}

/// Of two readers with one connection, one waits while the other reads, from what takes its time.
#[tokio::test]
async fn a_reader_that_finds_every_connection_to_the_file_in_use_is_told_so() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let options = SqliteOptions::new().with_readers(1).with_connection_wait(Duration::from_secs(2));
    let store = SqliteStore::open_with(&path, options).await.expect("a log");
    let kept = append("a", "kept", 1);
    let stream = kept.streams()[0].stream.clone();
    store.append(kept).await.expect("an append");
    let read = || store.read_stream(&stream, Default::default(), 10);
    assert_eq!(read().await.expect("nobody else reads").len(), 1);
    foreign(
        &path,
        "ALTER TABLE highwater_events RENAME TO kept_events;
         CREATE VIEW highwater_events AS SELECT * FROM kept_events WHERE 0 < (
             WITH RECURSIVE counted(n) AS (
                 SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT 30000000)
             SELECT max(n) FROM counted)",
    )
    .await;
    let (one, other) = tokio::join!(read(), read());
    let error = match (one, other) {
        (Ok(read), Err(error)) | (Err(error), Ok(read)) => {
            assert_eq!(read.len(), 1, "the one that has the connection reads");
            error
        }
        both => panic!("one of them finds no connection: {both:?}"),
    };
    assert!(matches!(error, ReadError::Unavailable { .. }), "{error:?}");
    assert!(matches!(fault(&error), Some(SqliteFault::Exhausted(_))), "{error:?}");
    assert!(error.is_retryable());
}

/// Set for the process that may not write much: the file that it appends to.
const BOUNDED_FILE: &str = "HIGHWATER_BOUNDED_FILE";

/// The operating system lets a process write no file beyond 600 blocks: the write-ahead log can't
/// take the commit, which fails in the middle.
#[tokio::test]
async fn a_write_that_fails_at_commit_is_an_unknown_outcome_until_it_is_repeated() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let program = std::env::current_exe().expect("this test");
    // Ignored, the signal at the limit becomes an error of the write, as of a broken disk.
    let script = "trap '' XFSZ; ulimit -f 600; exec \"$0\" bounded_process --nocapture";
    let bounded = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            Command::new("sh").args(["-c", script]).arg(program).env(BOUNDED_FILE, path).output()
        }
    });
    let output = bounded.await.expect("no panic").expect("a shell");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("outcome unknown"), "{output:?}");
    // Whoever opens the file may find the append or not; a repetition settles it.
    let store = SqliteStore::open(&path).await.expect("the same log");
    let before = everything(&*store, &Selection::All).await.len();
    assert!(before >= 1, "what was acknowledged is there");
    store.append(append("after", "fine", 1)).await.expect("no limit here");
    assert_eq!(everything(&*store, &Selection::All).await.len(), before + 1);
}

/// Not a test: what the bounded process does.
#[test]
fn bounded_process() {
    let Ok(path) = std::env::var(BOUNDED_FILE) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(path).await.expect("a log");
        store.append(append("small", "fine", 1)).await.expect("it fits");
        let large = append("large", "too large", 600 * 1024);
        let error = store.append(large.clone()).await.expect_err("the limit");
        assert!(matches!(error, AppendError::OutcomeUnknown { .. }), "{error:?}");
        assert!(error.is_retryable());
        assert!(matches!(fault(&error), Some(SqliteFault::Io(_))), "{error:?}");
        println!("outcome unknown");
    });
}
