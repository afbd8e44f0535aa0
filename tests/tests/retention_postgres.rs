//! Marks and removals in Postgres beside appends and reads that are under way.
//!
//! Nothing is removed while an append is under way that read before the mark. It has read an older
//! version of its stream. What keeps it from writing the next one again is the entry of the event that
//! took it; with that event removed, one version would stand for two events.
//!
//! And nothing is marked before everybody looks for marks.

use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::retention::Retention;
use highwater::{
    Append, AppendError, EventStore, ExpectedVersion, GlobalPosition, NewEvent, ReadError,
    StreamId, StreamVersion,
};
use highwater_tests::services::{self, Database};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// What bounds a wait that a broken store would never end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a version, is held up, writes the next one: an append in slow motion.
const SLOW_APPEND: &str = "
    CREATE FUNCTION public.slow_append() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
        head bigint;
    BEGIN
        SELECT max(e.version) INTO head FROM highwater.events e WHERE e.stream_id = 'test-a';
        PERFORM pg_advisory_lock(42);
        INSERT INTO highwater.events
            (position, version, event_id, schema_version, stream_id, type, data)
        VALUES (nextval('highwater.event_position'), head + 1, gen_random_uuid(), 1, 'test-a',
            'happened', 'null');
        RETURN head + 1;
    END
    $$";

async fn session(database: &Database) -> Client {
    let (client, connection) =
        tokio_postgres::connect(database.url(), NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}

async fn append(store: &PostgresStore, key: &str) -> GlobalPosition {
    let stream = StreamId::new("test", key).expect("a stream");
    let events = vec![NewEvent::new("happened", &()).expect("an event")];
    let append = Append::to(stream, ExpectedVersion::Any, events);
    store.append(append).await.expect("appended").position
}

/// An append that has read version 1 and is held up, while version 2 was appended and marked.
struct Race {
    _database: Database,
    store: Arc<PostgresStore>,
    holder: Client,
    slow: JoinHandle<Result<i64, tokio_postgres::Error>>,
}

impl Race {
    async fn begin() -> Self {
        let database = services::postgres().await.fresh_database().await;
        let store = PostgresStore::connect(database.url()).await.expect("a log");
        append(&store, "a").await;
        let holder = session(&database).await;
        holder.batch_execute(SLOW_APPEND).await.expect("a function");
        // The first mark of all would wait for every append.
        holder.batch_execute(BEGIN).await.expect("begun");
        holder.execute("SELECT pg_advisory_lock(42)", &[]).await.expect("the lock");
        let appender = session(&database).await;
        let slow = tokio::spawn(async move {
            Ok(appender.query_one("SELECT public.slow_append()", &[]).await?.get(0))
        });
        // Other tests have the same lock in databases of their own.
        let waits = "SELECT EXISTS (SELECT FROM pg_locks l
            JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
            WHERE l.locktype = 'advisory' AND l.objid = 42 AND NOT l.granted)";
        until(&holder, waits).await;
        let second = append(&store, "a").await;
        append(&store, "b").await;
        store.mark_log(second).await.expect("a mark");
        Self { _database: database, store, holder, slow }
    }

    /// Lets the append go on; true if it wrote version 2 a second time.
    async fn end(&mut self) -> bool {
        self.holder.execute("SELECT pg_advisory_unlock(42)", &[]).await.expect("unlocked");
        match (&mut self.slow).await.expect("a task") {
            Ok(version) => {
                assert_eq!(version, 2);
                true
            }
            Err(error) => {
                assert_eq!(error.code().map(|code| code.code()), Some("23505"), "{error:?}");
                false
            }
        }
    }
}

async fn until(client: &Client, question: &str) {
    let answered = async {
        while !client.query_one(question, &[]).await.expect("an answer").get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it became true");
}

const IS_OLDER: &str = "SELECT highwater.transactions_before(marked_by) <> '{}'
    FROM highwater.log_retention";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_waits_for_an_append_that_read_before_the_mark() {
    let mut race = Race::begin().await;
    let is_older: bool = race.holder.query_one(IS_OLDER, &[]).await.expect("an answer").get(0);
    assert!(is_older, "the append's snapshot is older than the mark");
    let store = race.store.clone();
    let removal = tokio::spawn(async move { store.remove_from_log(10).await });
    assert!(!race.end().await, "version 2 stands for two events");
    let removed = removal.await.expect("a task").expect("removed");
    assert_eq!(removed.map(|(_, events)| events), Some(2));
    assert_eq!(race.store.remove_from_log(10).await.expect("none left"), None);
}

/// The same without the wait: what the test above would see.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_wait_a_version_is_given_twice() {
    let mut race = Race::begin().await;
    let all_marked = "DELETE FROM highwater.events e
        WHERE e.position <= (SELECT removed_to FROM highwater.log_retention)";
    assert_eq!(race.holder.execute(all_marked, &[]).await.expect("deleted"), 2);
    assert!(race.end().await, "the unique index did not let go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_goes_on_once_the_older_snapshots_are_gone() {
    let database = services::postgres().await.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    let first = append(&store, "a").await;
    append(&store, "b").await;
    let (older, looking) = (session(&database).await, session(&database).await);
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    older.batch_execute(begin).await.expect("a snapshot");
    store.mark_log(first).await.expect("a mark");
    until(&looking, IS_OLDER).await;
    let removing = store.clone();
    let removal = tokio::spawn(async move { removing.remove_from_log(10).await });
    older.batch_execute("COMMIT").await.expect("ended");
    assert_eq!(removal.await.expect("a task").expect("removed"), Some((first, 1)));
}

/// Two removals at a time: the one whose events the other has taken away goes on with the next ones, so
/// that "none left" is true whoever says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_beside_another_one_ends_only_where_nothing_is_left() {
    for is_of_log in [false, true] {
        let database = services::postgres().await.fresh_database().await;
        let store = PostgresStore::connect(database.url()).await.expect("a log");
        let stream = StreamId::new("test", "a").expect("a stream");
        for _ in 0..10 {
            append(&store, "a").await;
        }
        append(&store, "b").await;
        match is_of_log {
            true => store.mark_log(GlobalPosition::new(10)).await,
            false => store.mark_stream(&stream, StreamVersion::new(10)).await,
        }
        .expect("a mark");
        let other = session(&database).await;
        let begun = "BEGIN; DELETE FROM highwater.events WHERE position <= 4";
        other.batch_execute(begun).await.expect("another removal");
        let removing = tokio::spawn(async move {
            match is_of_log {
                true => store.remove_from_log(4).await.map(|reached| reached.map_or(0, |it| it.1)),
                false => store.remove_from_stream(&stream, 4).await,
            }
        });
        let looking = session(&database).await;
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        until(&looking, waits).await;
        other.batch_execute("COMMIT").await.expect("a commit");
        assert_eq!(
            removing.await.expect("no panic").expect("removed"),
            4,
            "of the log: {is_of_log}"
        );
    }
}

/// The version that an append gets whose stream was removed whole, if it expects a new one.
async fn version_behind_a_removed_stream(change: &str) -> Option<StreamVersion> {
    let database = services::postgres().await.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    // It has its plans from before the first mark.
    let stream = |key: &str| StreamId::new("test", key).expect("a stream");
    let new = |key: &str| {
        let events = vec![NewEvent::new("happened", &()).expect("an event")];
        Append::to(stream(key), ExpectedVersion::NoStream, events)
    };
    for key in ["a", "b", "c", "d", "e", "f", "g"] {
        store.append(new(key)).await.expect("appended");
    }
    session(&database).await.batch_execute(change).await.expect("a variant");
    store.mark_stream(&stream("a"), StreamVersion::new(1)).await.expect("a mark");
    assert_eq!(store.remove_from_stream(&stream("a"), 10).await.expect("removed"), 1);
    match store.append(new("a")).await {
        Ok(appended) => Some(appended.heads[0].version),
        Err(AppendError::VersionConflict { actual, .. }) => {
            assert_eq!(actual, StreamVersion::new(1));
            None
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_mark_on_appends_look_for_marks() {
    assert_eq!(version_behind_a_removed_stream("").await, None);
    let without = "CREATE OR REPLACE FUNCTION highwater.write_older_lookups() RETURNS void
        LANGUAGE sql AS ''";
    let given_twice = Some(StreamVersion::new(1));
    assert_eq!(version_behind_a_removed_stream(without).await, given_twice, "can't fail");
}

const BEGIN: &str = "SELECT highwater.begin_retention()";

fn code_of(error: &tokio_postgres::Error) -> Option<&str> {
    error.code().map(|code| code.code())
}

#[tokio::test]
async fn a_mark_that_nobody_would_look_at_is_refused() {
    let database = services::postgres().await.fresh_database().await;
    PostgresStore::connect(database.url()).await.expect("a log").close().await;
    let marking = session(&database).await;
    for mark in [
        "INSERT INTO highwater.stream_retention (stream_id, removed_to) VALUES ('test-a', 1)",
        "UPDATE highwater.log_retention SET removed_to = 1",
    ] {
        let unseen = marking.batch_execute(mark).await.expect_err("nobody would look at it");
        assert_eq!(code_of(&unseen), Some("55000"), "{unseen:?}");
        marking.batch_execute(&format!("BEGIN; {BEGIN}; {mark}; ROLLBACK")).await.expect("a mark");
    }
}

/// Who came before the first mark, and hasn't ended, didn't look for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_mark_waits_for_appends_and_reads_in_flight_and_holds_nobody_up() {
    for in_flight in [
        "SELECT highwater.append_event('test-b', 0, gen_random_uuid(), 'happened', 1, 'null', NULL)",
        "SELECT count(*) FROM highwater.events",
    ] {
        let database = services::postgres().await.fresh_database().await;
        let store = PostgresStore::connect(database.url()).await.expect("a log");
        append(&store, "a").await;
        let (open, marking) = (session(&database).await, session(&database).await);
        open.batch_execute(&format!("BEGIN; {in_flight}")).await.expect("a transaction");
        let refused = marking.batch_execute(BEGIN).await.expect_err("somebody didn't look");
        assert_eq!(code_of(&refused), Some("55P03"), "{refused:?}");
        let stream = StreamId::new("test", "a").expect("a stream");
        let marker = store.clone();
        let marked =
            tokio::spawn(async move { marker.mark_stream(&stream, StreamVersion::new(1)).await });
        append(&store, "c").await;
        assert!(!marked.is_finished());
        open.batch_execute("COMMIT").await.expect("a commit");
        marked.await.expect("a task").expect("a mark");
        marking.batch_execute(BEGIN).await.expect("begun already");
    }
}

/// A reader whose plan is from before the first mark: what it says of a stream that has lost its first
/// event since.
async fn read_by_a_plan_from_before_the_first_mark(change: &str) -> Result<usize, ReadError> {
    let database = services::postgres().await.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    let stream = StreamId::new("test", "a").expect("a stream");
    append(&store, "a").await;
    append(&store, "a").await;
    // Generic plans come after a few custom ones.
    for _ in 0..10 {
        let all = store.read_stream(&stream, StreamVersion::EMPTY, 10).await.expect("a stream");
        assert_eq!(all.len(), 2);
    }
    session(&database).await.batch_execute(change).await.expect("a variant");
    store.mark_stream(&stream, StreamVersion::new(1)).await.expect("a mark");
    assert_eq!(store.remove_from_stream(&stream, 10).await.expect("removed"), 1);
    Ok(store.read_stream(&stream, StreamVersion::EMPTY, 10).await?.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_first_mark_on_readers_look_for_marks() {
    let read = read_by_a_plan_from_before_the_first_mark("").await;
    assert!(matches!(read, Err(ReadError::StreamTruncated { .. })), "{read:?}");
    let without = "CREATE OR REPLACE FUNCTION highwater.begin_retention() RETURNS void
        LANGUAGE sql AS 'UPDATE highwater.log_retention SET has_begun = true'";
    let missed = read_by_a_plan_from_before_the_first_mark(without).await;
    assert_eq!(missed.expect("nobody says so"), 1, "the variant can't fail");
}
