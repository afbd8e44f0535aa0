//! What only a server can do wrong: constraints, time-outs, full disks, exhausted connections.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::{ConnectError, PostgresOptions, PostgresStore};
use highwater::{
    Append, AppendError, EventId, EventStore, ExpectedVersion, GlobalPosition, NewEvent, ReadError,
    Selection, StreamId,
};
use highwater_tests::conformance::log::given::everything;
use highwater_tests::services::{self, Database, OwnPostgres, OwnService};
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, NoTls};

fn append(key: &str, event_type: &str) -> Append {
    let stream = StreamId::new("test", key).expect("a name");
    let event = NewEvent::new(event_type, &1).expect("a number is JSON");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

async fn database() -> Database {
    services::postgres().await.fresh_database().await
}

async fn open(database: &Database, options: PostgresOptions) -> Arc<PostgresStore> {
    PostgresStore::connect_with(database.url(), options).await.expect("a log")
}

/// A session beside the store's.
pub(crate) async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}

pub(crate) async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The SQLSTATE in an error's chain of sources.
fn sqlstate<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a str> {
    let code = error.downcast_ref::<DbError>().map(|error| error.code().code());
    code.or_else(|| sqlstate(error.source()?))
}

#[tokio::test]
async fn a_constraint_refuses_the_append_that_violates_it_and_no_other() {
    let database = database().await;
    let store = open(&database, PostgresOptions::new()).await;
    let owner = session(database.url()).await;
    run(&owner, "ALTER TABLE highwater.events ADD CONSTRAINT no_secrets CHECK (type <> 'secret')")
        .await;
    let appends = (0..12).map(|index| {
        let event_type = if index == 5 { "secret" } else { "open" };
        let (store, append) = (store.clone(), append(&index.to_string(), event_type));
        async move { (index, store.append(append).await) }
    });
    for (index, outcome) in futures::future::join_all(appends).await {
        match outcome {
            Err(error) if index == 5 => {
                assert!(matches!(error, AppendError::Refused { .. }), "{error:?}");
                assert!(!error.is_retryable());
            }
            outcome => assert!(index != 5 && outcome.is_ok(), "{index}: {outcome:?}"),
        }
    }
    assert_eq!(everything(&*store, &Selection::All).await.len(), 11);
}

#[tokio::test]
async fn a_serialisation_failure_is_tried_again_and_one_that_never_ends_is_unavailable() {
    let database = database().await;
    let store = open(&database, PostgresOptions::new()).await;
    let owner = session(database.url()).await;
    // A sequence counts tries, because it isn't rolled back with them.
    run(
        &owner,
        "CREATE SEQUENCE public.tries;
         CREATE FUNCTION public.interfere() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF NEW.type = 'always' OR NEW.type = 'at first' AND nextval('public.tries') <= 3 THEN
                 RAISE 'could not serialize access' USING ERRCODE = 'serialization_failure';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER interfere BEFORE INSERT ON highwater.events
         FOR EACH ROW EXECUTE FUNCTION public.interfere()",
    )
    .await;
    let appended = store.append(append("a", "at first")).await.expect("the fourth try");
    assert!(!appended.was_repeated);
    let error = store.append(append("a", "always")).await.expect_err("it never ends");
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable());
    assert_eq!(everything(&*store, &Selection::All).await.len(), 1);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_has_appended_and_read_nothing() {
    let database = database().await;
    let options = PostgresOptions::new().with_statement_timeout(Duration::from_millis(300));
    let store = open(&database, options).await;
    let other = session(database.url()).await;
    run(&other, "BEGIN; LOCK TABLE highwater.events IN ACCESS EXCLUSIVE MODE").await;
    let waiting = append("a", "waiting");
    let error = store.append(waiting.clone()).await.expect_err("locked");
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    assert_eq!(sqlstate(&error), Some("57014"), "{error:?}");
    let read = store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    assert!(matches!(read, Ok(_) | Err(ReadError::Unavailable { .. })), "{read:?}");
    let read = store.read_stream(&waiting.streams()[0].stream, Default::default(), 10).await;
    let error = read.expect_err("locked");
    assert!(error.is_retryable(), "{error:?}");
    run(&other, "ROLLBACK").await;
    // With all the time it needs.
    let store = open(&database, PostgresOptions::new()).await;
    assert!(!store.append(waiting).await.expect("the lock is gone").was_repeated);
}

#[tokio::test]
async fn a_reader_that_finds_every_connection_in_use_is_told_so() {
    let database = database().await;
    let options = PostgresOptions::new()
        .with_read_connections(1)
        .with_connection_wait(Duration::from_millis(200));
    let store = open(&database, options).await;
    let kept = store.append(append("a", "kept")).await.expect("an append");
    let other = session(database.url()).await;
    run(&other, "BEGIN; LOCK TABLE highwater.events IN ACCESS EXCLUSIVE MODE").await;
    let stream = kept.heads[0].stream.clone();
    let read = |store: Arc<PostgresStore>, stream: StreamId| async move {
        store.read_stream(&stream, Default::default(), 10).await
    };
    let holder = tokio::spawn(read(store.clone(), stream.clone()));
    waits_for_lock(&other).await;
    let error = read(store.clone(), stream).await.expect_err("no connection");
    assert!(matches!(error, ReadError::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable());
    run(&other, "ROLLBACK").await;
    assert_eq!(holder.await.expect("no panic").expect("the lock is gone").len(), 1);
}

async fn waits_for_lock(session: &Client) {
    let sql = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
               WHERE NOT l.granted AND a.datname = current_database()";
    let waited = async {
        while session.query_one(sql, &[]).await.expect("a count").get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("somebody waits for a lock");
}

#[tokio::test]
async fn a_server_without_a_connection_left_appends_nothing_and_says_so() {
    let database = database().await;
    let owner = session(database.url()).await;
    let role = format!("few_{}", EventId::new().as_uuid().simple());
    // A superuser is let in however many there are.
    run(&owner, &format!("CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 'few'")).await;
    let url = as_role(database.url(), &role);
    let store = PostgresStore::connect(&url).await.expect("a log");
    run(
        &owner,
        &format!(
            "GRANT ALL ON SCHEMA highwater TO {role};
        GRANT ALL ON ALL TABLES IN SCHEMA highwater TO {role};
        ALTER ROLE {role} NOSUPERUSER CONNECTION LIMIT 1"
        ),
    )
    .await;
    // The one that it read with stays; there is none to write with.
    let error = store.append(append("a", "late")).await.expect_err("no connection left");
    assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable());
    run(&owner, &format!("ALTER ROLE {role} SUPERUSER CONNECTION LIMIT -1")).await;
    store.append(append("a", "late")).await.expect("connections are left");
    store.close().await;
    drop(store);
    run(&owner, &format!("REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}")).await;
}

fn as_role(url: &str, role: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}://{role}:few@{server}")
}

#[tokio::test]
async fn a_full_disk_appends_nothing_and_goes_on_when_there_is_room() {
    let server = OwnPostgres::start().await.expect("an own PostgreSQL starts");
    let database = server.fresh_database_on_small_disk().await;
    let store = open(&database, PostgresOptions::new()).await;
    let owner = session(database.url()).await;
    run(
        &owner,
        "CREATE TABLE public.ballast AS SELECT repeat('x', 1900) AS bytes FROM generate_series(1, 2000);
         CHECKPOINT",
    )
    .await;
    let mut kept = Vec::new();
    let refused = loop {
        assert!(kept.len() < 200, "the disk never fills up");
        let large = large_append(kept.len());
        match store.append(large.clone()).await {
            Ok(_) => kept.push(large),
            Err(error) => {
                assert!(matches!(error, AppendError::Unavailable { .. }), "{error:?}");
                assert!(error.is_retryable());
                assert_eq!(sqlstate(&error), Some("53100"), "{error:?}");
                break large;
            }
        }
    };
    assert_eq!(everything(&*store, &Selection::All).await.len(), kept.len());
    run(&owner, "DROP TABLE public.ballast; CHECKPOINT").await;
    assert!(!store.append(refused).await.expect("there is room").was_repeated);
    // A repetition may need room as well, before it is recognised.
    let last = kept.pop().expect("some fitted in");
    assert!(store.append(last).await.expect("a repetition").was_repeated);
}

/// A megabyte that can't be made smaller.
fn large_append(number: usize) -> Append {
    let stream = StreamId::new("test", number).expect("a name");
    let ids: Vec<EventId> = (0..26_000).map(|_| EventId::from_uuid(random())).collect();
    let event = NewEvent::new("large", &ids).expect("ids are JSON");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

fn random() -> uuid::Uuid {
    // The hash of a fresh id: 122 bits that say nothing of each other.
    uuid::Uuid::new_v5(&uuid::Uuid::now_v7(), b"")
}

#[tokio::test]
async fn what_can_not_be_connected_to_says_why() {
    let options = || PostgresOptions::new().with_connect_patience(Duration::from_millis(200));
    let connect = async |url: String| PostgresStore::connect_with(&url, options()).await.map(drop);
    let error = connect("not a url".to_owned()).await.expect_err("no URL");
    assert!(matches!(error, ConnectError::Url), "{error:?}");
    assert!(!error.is_retryable());
    let error = connect("postgres://nobody@127.0.0.1:1/none".to_owned()).await;
    let error = error.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.is_retryable());
    let database = database().await;
    let nowhere = format!("{}_which_does_not_exist", database.url());
    let error = connect(nowhere).await.expect_err("no such database");
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_schema_that_is_in_the_way_is_left_as_it_is() {
    let database = database().await;
    let owner = session(database.url()).await;
    run(
        &owner,
        "CREATE SCHEMA highwater; CREATE TABLE highwater.events (mine int);
         INSERT INTO highwater.events VALUES (7)",
    )
    .await;
    let error = PostgresStore::connect(database.url()).await.expect_err("somebody else's table");
    assert!(matches!(error, ConnectError::Migration { .. }), "{error:?}");
    assert!(!error.is_retryable());
    let row = owner.query_one("SELECT mine FROM highwater.events", &[]).await.expect("the row");
    assert_eq!(row.get::<_, i32>(0), 7);
}
