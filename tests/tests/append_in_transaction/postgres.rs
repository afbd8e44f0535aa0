//! In PostgreSQL, on a real server.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use highwater::postgres::{PostgresOptions, PostgresStore};
use highwater::{
    Append, AppendCondition, AppendError, Appended, EventStore, ExpectedVersion, GlobalPosition,
    Selection, Subscription,
};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::log::given::{
    appended, event, everything, query_tagged, stream, tagged, to_any, types,
};
use highwater_tests::conformance::log::oracle::Violation;
use highwater_tests::conformance::log::race::{RacePlan, RaceReport, race};
use highwater_tests::services::{self, Database};
use tokio_postgres::{Client, IsolationLevel, NoTls};

use super::{End, HalfInTransactions, OwnTransactions};

struct Log {
    database: Database,
    store: Arc<PostgresStore>,
}

impl Log {
    async fn fresh() -> Self {
        let database = services::postgres().await.fresh_database().await;
        let store = PostgresStore::connect(database.url()).await.expect("a log in a database");
        let log = Self { database, store };
        log.client().await.batch_execute("CREATE TABLE own_rows (id text)").await.expect("a table");
        log
    }

    async fn client(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(self.database.url(), NoTls).await.expect("a session");
        tokio::spawn(connection);
        client
    }

    async fn own_rows(&self) -> Vec<String> {
        let rows = self.client().await.query("SELECT id FROM own_rows", &[]).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect()
    }
}

const INSERT: &str = "INSERT INTO own_rows VALUES ($1)";

fn new(key: &str) -> Append {
    Append::to(stream(key), ExpectedVersion::NoStream, vec![event("happened")])
}

#[tokio::test]
async fn rows_and_events_commit_together_and_vanish_together() {
    let log = Log::fresh().await;
    let mut client = log.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute(INSERT, &[&"gone"]).await.unwrap();
    let seen = log.store.append_in(&transaction, new("gone")).await.unwrap();
    assert_eq!((seen.heads[0].version.get(), seen.was_repeated), (1, false));
    transaction.rollback().await.unwrap();
    assert!(log.own_rows().await.is_empty());
    assert!(everything(&*log.store, &Selection::All).await.is_empty());

    let transaction = client.transaction().await.unwrap();
    transaction.execute(INSERT, &[&"there"]).await.unwrap();
    let first = log.store.append_in(&transaction, new("there")).await.unwrap();
    let second = log.store.append_in(&transaction, new("there as well")).await.unwrap();
    assert!(first.position < second.position);
    transaction.commit().await.unwrap();
    assert_eq!(log.own_rows().await, ["there"]);
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 2);
}

#[tokio::test]
async fn a_transaction_that_is_lost_with_its_connection_leaves_nothing() {
    let log = Log::fresh().await;
    let mut client = log.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute(INSERT, &[&"gone"]).await.unwrap();
    log.store.append_in(&transaction, new("a")).await.unwrap();
    let pid: i32 = transaction.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let killer = log.client().await;
    killer.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    let error = log.store.append_in(&transaction, new("b")).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    assert!(transaction.commit().await.is_err());
    appended(&*log.store, new("a")).await;
    assert!(log.own_rows().await.is_empty());
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 1);
}

#[tokio::test]
async fn readers_stop_in_front_of_an_open_transaction_and_writers_do_not() {
    let log = Log::fresh().await;
    let before = appended(&*log.store, new("before")).await.position;
    let mut client = log.client().await;
    let transaction = client.transaction().await.unwrap();
    let open = log.store.append_in(&transaction, new("open")).await.unwrap().position;
    let after = appended(&*log.store, new("after")).await.position;
    assert!(before < open && open < after);
    assert_eq!(log.store.high_water_mark().await.unwrap(), before);
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(log.store.high_water_mark().await.unwrap(), after);
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 3);
}

#[tokio::test]
async fn a_conflict_is_typed_and_the_transaction_goes_on() {
    let log = Log::fresh().await;
    appended(&*log.store, to_any(&stream("a"), vec![tagged("happened", &["k:1"])])).await;
    let mut client = log.client().await;
    let transaction = client.transaction().await.unwrap();
    transaction.execute(INSERT, &[&"kept"]).await.unwrap();
    let error = log.store.append_in(&transaction, new("a")).await.unwrap_err();
    assert!(
        matches!(&error, AppendError::VersionConflict { actual, .. } if actual.get() == 1),
        "{error:?}"
    );
    let condition = AppendCondition::new(query_tagged(&["k:1"]), GlobalPosition::START);
    let conditional = new("b").with_condition(condition);
    let error = log.store.append_in(&transaction, conditional).await.unwrap_err();
    assert!(matches!(error, AppendError::ConditionFailed), "{error:?}");
    let refused = to_any(&stream("c"), vec![event("a\0b")]);
    let error = log.store.append_in(&transaction, refused).await.unwrap_err();
    assert!(matches!(error, AppendError::Refused { .. }), "{error:?}");
    log.store.append_in(&transaction, new("b")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(log.own_rows().await, ["kept"]);
    assert_eq!(everything(&*log.store, &Selection::All).await.len(), 2);
}

/// The second one waits for the first one's unique entries and runs into them at its commit.
#[tokio::test]
async fn of_two_open_transactions_with_one_stream_the_second_learns_its_conflict() {
    let log = Log::fresh().await;
    let (mut one, mut other) = (log.client().await, log.client().await);
    let first = one.transaction().await.unwrap();
    log.store.append_in(&first, new("a")).await.unwrap();
    let second = other.transaction().await.unwrap();
    second.execute(INSERT, &[&"kept"]).await.unwrap();
    let strict = log.store.append_in(&second, new("a"));
    let (strict, committed) = tokio::join!(strict, async {
        waiting_backends(&log, 1).await;
        first.commit().await
    });
    committed.unwrap();
    let error = strict.unwrap_err();
    assert!(matches!(error, AppendError::VersionConflict { .. }), "{error:?}");
    let lenient = to_any(&stream("a"), vec![event("happened")]);
    assert_eq!(log.store.append_in(&second, lenient).await.unwrap().heads[0].version.get(), 2);
    second.commit().await.unwrap();
    assert_eq!(log.own_rows().await, ["kept"]);
}

/// Returns once so many backends of the database wait for another transaction.
async fn waiting_backends(log: &Log, count: i64) {
    let client = log.client().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waited = async {
        while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("they wait");
}

#[tokio::test]
async fn a_repetition_is_recognised_within_the_transaction_and_behind_it() {
    let log = Log::fresh().await;
    let mut client = log.client().await;
    let append = new("a");
    let transaction = client.transaction().await.unwrap();
    let first = log.store.append_in(&transaction, append.clone()).await.unwrap();
    let again = log.store.append_in(&transaction, append.clone()).await.unwrap();
    assert_eq!((again.position, again.was_repeated), (first.position, true));
    transaction.commit().await.unwrap();
    let again = appended(&*log.store, append.clone()).await;
    assert_eq!((again.position, again.was_repeated), (first.position, true));
    let transaction = client.transaction().await.unwrap();
    let again = log.store.append_in(&transaction, append.clone()).await.unwrap();
    assert_eq!((again.position, again.was_repeated), (first.position, true));
    let id = append.events().next().unwrap().id;
    let thief = to_any(&stream("b"), vec![event("happened").with_id(id)]);
    let error = log.store.append_in(&transaction, thief).await.unwrap_err();
    assert!(matches!(error, AppendError::EventIdTaken { id: taken } if taken == id), "{error:?}");
}

#[tokio::test]
async fn a_transaction_that_is_not_read_committed_is_refused_with_the_reason() {
    let log = Log::fresh().await;
    let mut client = log.client().await;
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let transaction = client.build_transaction().isolation_level(level).start().await.unwrap();
        let error = log.store.append_in(&transaction, new("a")).await.unwrap_err();
        let AppendError::Refused { source } = &error else {
            panic!("{error:?}");
        };
        assert!(source.to_string().contains("READ COMMITTED"), "{source}");
        transaction.execute(INSERT, &[&"it goes on"]).await.unwrap();
    }
    assert!(everything(&*log.store, &Selection::All).await.is_empty());
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_by_the_signal_after_the_commit() {
    let log = Log::fresh().await;
    let mut client = log.client().await;
    let mut signal = log.store.signal();
    let transaction = client.transaction().await.unwrap();
    log.store.append_in(&transaction, new("a")).await.unwrap();
    transaction.commit().await.unwrap();
    log.store.signal().notify();
    tokio::time::timeout(Duration::from_secs(10), signal.wait()).await.expect("woken");
    // And without one: another process's store polls.
    let elsewhere = PostgresStore::connect(log.database.url()).await.unwrap();
    let mut pages = Subscription::new(elsewhere, Selection::All, GlobalPosition::START);
    let page = tokio::time::timeout(Duration::from_secs(10), pages.next_page()).await.unwrap();
    assert_eq!(types(&page.unwrap().events), ["happened"]);
}

/// Notes the warnings of a thread.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut told = String::new();
        event.record(&mut Fields(&mut told));
        self.0.lock().unwrap().push(told);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn whoever_reads_the_mark_warns_of_a_transaction_that_stays_open() {
    let log = Log::fresh().await;
    let options = PostgresOptions::new().with_held_mark_warning(Duration::from_millis(200));
    let store = PostgresStore::connect_with(log.database.url(), options).await.unwrap();
    let warnings = Warnings::default();
    let _captured = tracing::subscriber::set_default(warnings.clone());
    let told = || warnings.0.lock().unwrap().iter().any(|told| told.contains("stays open"));
    appended(&*store, new("before")).await;
    // A quiet log is no reason for a warning.
    let quiet = std::time::Instant::now();
    while quiet.elapsed() < Duration::from_millis(500) {
        store.high_water_mark().await.unwrap();
    }
    assert!(!told());
    let mut client = log.client().await;
    let transaction = client.transaction().await.unwrap();
    store.append_in(&transaction, new("open")).await.unwrap();
    let reading = async {
        while !told() {
            store.high_water_mark().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("a warning");
    transaction.commit().await.unwrap();
}

/// A few sessions of the caller's own.
struct Sessions {
    store: Arc<PostgresStore>,
    clients: Vec<tokio::sync::Mutex<Client>>,
    next: AtomicUsize,
}

impl Sessions {
    async fn of(log: &Log) -> Self {
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(tokio::sync::Mutex::new(log.client().await));
        }
        Self { store: log.store.clone(), clients, next: AtomicUsize::new(0) }
    }
}

fn lost(error: tokio_postgres::Error) -> AppendError {
    AppendError::OutcomeUnknown { source: Box::new(error) }
}

#[async_trait]
impl OwnTransactions for Sessions {
    async fn append(&self, append: Append, row: &str, end: End) -> Result<Appended, AppendError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.clients.len();
        let mut client = self.clients[place].lock().await;
        let transaction = client.transaction().await.map_err(lost)?;
        transaction.execute(INSERT, &[&row]).await.map_err(lost)?;
        let appended = self.store.append_in(&transaction, append).await?;
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
        let own = Arc::new(Sessions::of(&self.0).await);
        HalfInTransactions::new(self.0.store.clone(), own)
    }
}

async fn raced(log: &RacedLog) -> Result<RaceReport, Violation> {
    race(log, RacePlan { appenders: 18, appends_each: 20 }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_misses_an_event_of_either_kind_of_writer() {
    let log = RacedLog(Log::fresh().await);
    let report = raced(&log).await.unwrap_or_else(|violation| panic!("{violation:?}"));
    assert!(report.acknowledged > 100 && report.conflicts > 0, "{report:?}");
    let events = everything(&*log.0.store, &Selection::All).await;
    let ids: HashSet<String> = events.iter().map(|event| event.id.to_string()).collect();
    let rows = log.0.own_rows().await;
    assert!(!rows.is_empty());
    // A row of a transaction that was rolled back would bear no id.
    let orphan = rows.iter().find(|row| !ids.contains(*row));
    assert_eq!(orphan, None, "a row was committed without its events");
}

/// The same race, and the function takes its lock under a key that no reader looks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_watermark_lock_the_race_finds_missed_events() {
    for _ in 0..10 {
        let log = RacedLog(Log::fresh().await);
        let client = log.0.client().await;
        let source = "SELECT pg_get_functiondef('highwater.draw_positions'::regproc)";
        let source: String = client.query_one(source, &[]).await.unwrap().get(0);
        let broken = source.replace("6755680916032454656", "6757932715846139904");
        assert_ne!(source, broken, "the lock isn't where it was");
        client.batch_execute(&broken).await.unwrap();
        match raced(&log).await {
            Err(Violation::Missed { .. }) => return,
            other => println!("not caught by this round: {other:?}"),
        }
    }
    panic!("the race found nothing: it doesn't check what it should");
}
