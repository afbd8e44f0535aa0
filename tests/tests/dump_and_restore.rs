//! A log that was dumped and restored is the same log: positions, versions and ids stay, what is appended
//! next comes behind them, repetitions and conditions are judged as before, and consumers go on where
//! they were.

use std::sync::Arc;

use highwater::postgres::PostgresStore;
use highwater::sqlite::SqliteStore;
use highwater::{
    AppendCondition, AppendError, CheckpointStore, EventStore, GlobalPosition, RecordedEvent,
    Selection,
};
use highwater_tests::conformance::log::given::{
    appended, events, everything, exactly, position, query_tagged, refused, stream, tagged, to_any,
    versions, whole_stream,
};
use highwater_tests::services::{self, Database};
use sqlx::{Connection, SqliteConnection};
use tokio_postgres::NoTls;

/// A log and its consumers' checkpoints.
trait Log: EventStore + CheckpointStore {}
impl<T: EventStore + CheckpointStore> Log for T {}

/// What is asked of the copy.
struct Given {
    recorded: Vec<RecordedEvent>,
    repeated: highwater::Append,
}

/// A log with several streams, tags, a gap and a consumer that has come to position 5.
async fn given(log: &dyn Log) -> Given {
    for round in 0..5 {
        let event = tagged("tested", &["about:a"]);
        appended(log, to_any(&stream(&format!("s-{round}")), vec![event])).await;
        appended(log, to_any(&stream("long"), events(3))).await;
    }
    let repeated = to_any(&stream("long"), events(2));
    appended(log, repeated.clone()).await;
    let claim = log.claim("relay").await.expect("a claim");
    log.advance(&claim, position(5), None).await.expect("it moves");
    Given { recorded: everything(log, &Selection::All).await, repeated }
}

async fn goes_on(copy: &dyn Log, given: Given) {
    assert_eq!(everything(copy, &Selection::All).await, given.recorded);
    let last = given.recorded.last().expect("an event").position;
    assert_eq!(copy.high_water_mark().await.expect("a mark"), last);
    assert_eq!(copy.claim("relay").await.expect("a claim").position, position(5));

    let again = appended(copy, given.repeated).await;
    assert!(again.was_repeated && again.position == last, "{again:?}");
    let taken = highwater::Append::to(stream("long"), exactly(16), events(1));
    assert!(matches!(refused(copy, taken).await, AppendError::VersionConflict { .. }));
    let asked = AppendCondition::new(query_tagged(&["about:a"]), GlobalPosition::START);
    let asking = to_any(&stream("asking"), events(1)).with_condition(asked);
    assert!(matches!(refused(copy, asking).await, AppendError::ConditionFailed));

    let next = appended(copy, to_any(&stream("long"), events(20))).await;
    assert!(next.position.get() >= last.get() + 20, "behind all that was dumped");
    let versions = versions(&whole_stream(copy, &stream("long")).await);
    assert_eq!(versions, (1..=37).collect::<Vec<_>>());
}

async fn postgres(database: &Database) -> Arc<PostgresStore> {
    PostgresStore::connect(database.url()).await.expect("a log")
}

/// By the server's own programs, where the server runs.
async fn dump_and_restore(from: &Database, to: &Database) {
    let (client, connection) =
        tokio_postgres::connect(from.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let setting = async |query: &str| -> String {
        client.query_one(query, &[]).await.expect("a setting").get(0)
    };
    let programs = setting("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let port = setting("SELECT current_setting('port')").await;
    let config: tokio_postgres::Config = from.url().parse().expect("a URL");
    let user = config.get_user().unwrap_or("postgres");
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
    let server = format!("-h 127.0.0.1 -p {port} -U {user}");
    let (from, to) = (from.name(), to.name());
    // The last line says how it went: a shell that isn't bash tells of the last of two programs only.
    let program = format!(
        "export PGPASSWORD=''{password}''; ''{programs}/pg_dump'' {server} {from} > /tmp/{from}.sql \
         && ''{programs}/psql'' -q -v ON_ERROR_STOP=1 {server} -f /tmp/{from}.sql {to} > /dev/null \
         && rm /tmp/{from}.sql && echo done"
    );
    let sql = format!("CREATE TEMP TABLE said (text text); COPY said FROM PROGRAM '{program}'");
    client.batch_execute(&sql).await.expect("the server's programs run");
    assert_eq!(setting("SELECT string_agg(text, ' ') FROM said").await, "done");
}

#[tokio::test]
async fn a_postgres_log_goes_on_behind_its_dump() {
    let server = services::postgres().await;
    let (original, copy) = (server.fresh_database().await, server.fresh_database().await);
    let store = postgres(&original).await;
    let given = given(&*store).await;
    dump_and_restore(&original, &copy).await;
    goes_on(&*postgres(&copy).await, given).await;
}

#[tokio::test]
async fn a_postgres_log_in_partitions_goes_on_behind_its_dump() {
    let server = services::postgres().await;
    let (original, copy) = (server.fresh_database().await, server.fresh_database().await);
    let store = postgres(&original).await;
    store.partition_log_finely(7).await.expect("a log in partitions");
    let given = given(&*store).await;
    dump_and_restore(&original, &copy).await;
    let restored = postgres(&copy).await;
    let sealed = store.partitions().await.expect("the partitions");
    let restored_to = restored.partitions().await.expect("the partitions");
    assert!(sealed.len() > 2 && restored_to.len() >= sealed.len(), "{restored_to:?}");
    goes_on(&*restored, given).await;
}

/// An append that is in flight while the dump is taken is no part of it, and its positions are given to
/// nobody else.
#[tokio::test]
async fn what_was_in_flight_at_a_dump_leaves_a_gap_at_most() {
    let server = services::postgres().await;
    let (original, copy) = (server.fresh_database().await, server.fresh_database().await);
    let store = postgres(&original).await;
    let given = given(&*store).await;
    let (mut client, connection) =
        tokio_postgres::connect(original.url(), NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let open = client.transaction().await.expect("a transaction");
    store.append_in(&open, to_any(&stream("open"), events(3))).await.expect("an append");
    dump_and_restore(&original, &copy).await;
    open.commit().await.expect("a commit");
    let restored = postgres(&copy).await;
    assert!(whole_stream(&*restored, &stream("open")).await.is_empty());
    goes_on(&*restored, given).await;
}

#[tokio::test]
async fn a_sqlite_log_goes_on_behind_its_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    let (original, copy) = (folder.path().join("original.db"), folder.path().join("copy.db"));
    let store = SqliteStore::open(&original).await.expect("a log");
    let given = given(&*store).await;
    let url = format!("sqlite://{}", original.display());
    let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
    let vacuum = format!("VACUUM INTO '{}'", copy.display());
    sqlx::query(sqlx::AssertSqlSafe(vacuum)).execute(&mut connection).await.expect("a copy");
    goes_on(&*SqliteStore::open(&copy).await.expect("a log"), given).await;
}
