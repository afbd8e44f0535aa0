//! In SQLite, in one file.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use highwater::sqlite::SqliteStore;
use highwater::{
    Append, AppendCondition, AppendError, Appended, EventStore, ExpectedVersion, GlobalPosition,
    Selection,
};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::log::given::{
    appended, event, everything, query_tagged, stream, tagged, to_any,
};
use highwater_tests::conformance::log::race::{RacePlan, race};
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::{End, HalfInTransactions, OwnTransactions};

struct Log {
    store: Arc<SqliteStore>,
    path: PathBuf,
    _directory: TempDir,
}

const IMMEDIATE: &str = "BEGIN IMMEDIATE";
const INSERT: &str = "INSERT INTO own_rows VALUES (?)";

fn options(path: &PathBuf) -> SqliteConnectOptions {
    let patience = std::time::Duration::from_secs(30);
    SqliteConnectOptions::new().filename(path).busy_timeout(patience)
}

impl Log {
    async fn fresh() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("log.db");
        let store = SqliteStore::open(&path).await.expect("a log in a file");
        let log = Self { store, path, _directory: directory };
        let mut connection = log.connection().await;
        sqlx::query("CREATE TABLE own_rows (id TEXT)").execute(&mut connection).await.unwrap();
        log
    }

    async fn connection(&self) -> SqliteConnection {
        options(&self.path).connect().await.expect("a connection")
    }

    async fn own_rows(&self) -> Vec<String> {
        let mut connection = self.connection().await;
        sqlx::query_scalar("SELECT id FROM own_rows").fetch_all(&mut connection).await.unwrap()
    }
}

fn new(key: &str) -> Append {
    Append::to(stream(key), ExpectedVersion::NoStream, vec![event("happened")])
}

#[tokio::test]
async fn rows_and_events_commit_together_and_vanish_together() {
    let log = Log::fresh().await;
    let mut connection = log.connection().await;
    for (key, end) in [("gone", End::RollBack), ("there", End::Commit)] {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query(INSERT).bind(key).execute(&mut *transaction).await.unwrap();
        let seen = log.store.append_in(&mut transaction, new(key)).await.unwrap();
        assert_eq!((seen.heads[0].version.get(), seen.was_repeated), (1, false));
        assert_eq!(log.store.high_water_mark().await.unwrap(), GlobalPosition::START);
        match end {
            End::RollBack => transaction.rollback().await.unwrap(),
            End::Commit => transaction.commit().await.unwrap(),
        }
    }
    assert_eq!(log.own_rows().await, ["there"]);
    let events = everything(&*log.store, &Selection::All).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].stream, stream("there"));
}

#[tokio::test]
async fn a_conflict_is_typed_and_the_transaction_goes_on() {
    let log = Log::fresh().await;
    appended(&*log.store, to_any(&stream("a"), vec![tagged("happened", &["k:1"])])).await;
    let mut connection = log.connection().await;
    let mut transaction = connection.begin_with(IMMEDIATE).await.unwrap();
    sqlx::query(INSERT).bind("kept").execute(&mut *transaction).await.unwrap();
    let error = log.store.append_in(&mut transaction, new("a")).await.unwrap_err();
    assert!(matches!(error, AppendError::VersionConflict { .. }), "{error:?}");
    let condition = AppendCondition::new(query_tagged(&["k:1"]), GlobalPosition::START);
    let conditional = new("b").with_condition(condition);
    let error = log.store.append_in(&mut transaction, conditional).await.unwrap_err();
    assert!(matches!(error, AppendError::ConditionFailed), "{error:?}");
    let append = new("b");
    let first = log.store.append_in(&mut transaction, append.clone()).await.unwrap();
    let again = log.store.append_in(&mut transaction, append.clone()).await.unwrap();
    assert_eq!((again.position, again.was_repeated), (first.position, true));
    transaction.commit().await.unwrap();
    assert!(appended(&*log.store, append).await.was_repeated);
    assert_eq!(log.own_rows().await, ["kept"]);
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 2);
}

/// It has read before somebody else wrote: what it decides would rest on that.
#[tokio::test]
async fn a_transaction_with_an_old_snapshot_appends_nothing_and_may_be_tried_again() {
    let log = Log::fresh().await;
    let mut connection = log.connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let read = sqlx::query("SELECT count(*) FROM own_rows").fetch_one(&mut *transaction).await;
    read.unwrap();
    appended(&*log.store, new("a")).await;
    let error = log.store.append_in(&mut transaction, new("a")).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    transaction.rollback().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let error = log.store.append_in(&mut transaction, new("a")).await.unwrap_err();
    assert!(matches!(error, AppendError::VersionConflict { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_commits_without_syncing_is_refused() {
    let log = Log::fresh().await;
    let lazy = options(&log.path).synchronous(SqliteSynchronous::Normal);
    let mut connection = lazy.connect().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let error = log.store.append_in(&mut transaction, new("a")).await.unwrap_err();
    let AppendError::Refused { source } = &error else {
        panic!("{error:?}");
    };
    assert!(source.to_string().contains("synchronous"), "{source}");
}

struct Sessions {
    store: Arc<SqliteStore>,
    connection: tokio::sync::Mutex<SqliteConnection>,
}

fn lost(error: sqlx::Error) -> AppendError {
    AppendError::OutcomeUnknown { source: Box::new(error) }
}

#[async_trait]
impl OwnTransactions for Sessions {
    async fn append(&self, append: Append, row: &str, end: End) -> Result<Appended, AppendError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin_with(IMMEDIATE).await.map_err(lost)?;
        let inserted = sqlx::query(INSERT).bind(row).execute(&mut *transaction).await;
        inserted.map_err(lost)?;
        let appended = self.store.append_in(&mut transaction, append).await?;
        if end == End::RollBack {
            transaction.rollback().await.map_err(lost)?;
            return Ok(appended);
        }
        transaction.commit().await.map_err(lost)?;
        self.store.signal().notify();
        Ok(appended)
    }
}

struct RacedLog(Log);

#[async_trait]
impl LogFactory for RacedLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        let connection = tokio::sync::Mutex::new(self.0.connection().await);
        let own = Arc::new(Sessions { store: self.0.store.clone(), connection });
        HalfInTransactions::new(self.0.store.clone(), own)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_misses_an_event_of_either_kind_of_writer() {
    let log = RacedLog(Log::fresh().await);
    let report = race(&log, RacePlan { appenders: 18, appends_each: 8 }).await;
    let report = report.unwrap_or_else(|violation| panic!("{violation:?}"));
    assert!(report.acknowledged > 50 && report.conflicts > 0, "{report:?}");
    let events = everything(&*log.0.store, &Selection::All).await;
    let ids: HashSet<String> = events.iter().map(|event| event.id.to_string()).collect();
    let rows = log.0.own_rows().await;
    assert!(!rows.is_empty());
    let orphan = rows.iter().find(|row| !ids.contains(*row));
    assert_eq!(orphan, None, "a row was committed without its events");
}
