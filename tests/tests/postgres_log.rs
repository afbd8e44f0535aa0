//! What the Postgres log promises beyond the conformance suite, and why each rule of its is there:
//! load with aborts, foreign transactions, the watermark's rules one by one, connections killed at
//! commit, races for a condition.

#[path = "postgres_log/raw_session.rs"]
mod raw_session;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use highwater::postgres::{ConnectError, PostgresOptions, PostgresStore};
use highwater::{
    Append, AppendCondition, AppendError, Appended, EventId, EventStore, ExpectedVersion, GlobalPosition,
    NewEvent, Query, QueryItem, RecordedEvent, Selection, StreamId, StreamVersion, Subscription,
    Tag,
};
use highwater_tests::services::{self, Database};
use raw_session::Session;

/// Environment variable: how long the tests under load run, in seconds.
const SECONDS: &str = "HIGHWATER_TEST_SECONDS";
/// What bounds a wait that a broken store would never end.
const PATIENCE: Duration = Duration::from_secs(60);

fn load_time() -> Duration {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

async fn database() -> Database {
    services::postgres().await.fresh_database().await
}

async fn open(database: &Database) -> Arc<PostgresStore> {
    PostgresStore::connect(database.url()).await.expect("a log")
}

fn stream(key: impl std::fmt::Display) -> StreamId {
    StreamId::new("test", key).expect("a valid key")
}

fn event(event_type: &str) -> NewEvent {
    NewEvent::new(event_type, &()).expect("unit is JSON")
}

fn tag(value: &str) -> Tag {
    Tag::new("about", value).expect("a valid tag")
}

fn to(key: impl std::fmt::Display) -> Append {
    Append::to(stream(key), ExpectedVersion::Any, vec![event("tested")])
}

async fn ids_of_all(store: &PostgresStore) -> Vec<EventId> {
    let page = store.read_all(&Selection::All, GlobalPosition::START, 1_000).await;
    page.expect("a page").events.iter().map(|event| event.id).collect()
}

fn ids(append: &Append) -> Vec<EventId> {
    append.events().map(|event| event.id).collect()
}

// --- Under load ---------------------------------------------------------------------------------

/// Follows the log until it has seen `last`, and checks that positions only rise.
async fn follow(
    store: Arc<PostgresStore>,
    last: tokio::sync::watch::Receiver<GlobalPosition>,
) -> Vec<RecordedEvent> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    let mut subscription = Subscription::new(store, Selection::All, GlobalPosition::START);
    loop {
        let target = *last.borrow();
        if target > GlobalPosition::START && subscription.position() >= target {
            return seen;
        }
        let page = tokio::time::timeout(Duration::from_millis(200), subscription.next_page()).await;
        let Ok(Ok(page)) = page else { continue };
        for event in page.events {
            let before = seen.last().map_or(GlobalPosition::START, |event| event.position);
            assert!(event.position > before, "{} came behind {before}", event.position);
            seen.push(event);
        }
    }
}

fn assert_versions_are_contiguous(events: &[RecordedEvent]) {
    let mut heads: HashMap<&StreamId, StreamVersion> = HashMap::new();
    for event in events {
        let head = heads.entry(&event.stream).or_default();
        assert_eq!(event.version, head.next(), "stream {}", event.stream);
        *head = event.version;
    }
}

fn assert_holds_all(seen: &[RecordedEvent], acknowledged: &[EventId]) {
    let present: HashSet<_> = seen.iter().map(|event| event.id).collect();
    assert_eq!(present.len(), seen.len(), "an event is there twice");
    let missed = acknowledged.iter().filter(|id| !present.contains(id)).count();
    assert_eq!(missed, 0, "of {} acknowledged events", acknowledged.len());
}

/// Appends to its own stream at exact versions and now and then to one that all writers share.
async fn write_until(store: Arc<PostgresStore>, writer: usize, end: Instant) -> Vec<EventId> {
    let mut acknowledged = Vec::new();
    let mut version = StreamVersion::EMPTY;
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        let append = if round % 16 == writer % 16 {
            to(format!("shared-{}", round % 3))
        } else {
            let events = (0..=round % 3).map(|_| event("tested").with_tag(tag("load"))).collect();
            Append::to(stream(format!("own-{writer}")), ExpectedVersion::Exact(version), events)
        };
        let ids = ids(&append);
        let appended = append_until_known(&*store, append).await;
        let head = &appended.heads[0];
        if head.stream == stream(format!("own-{writer}")) {
            version = head.version;
        }
        acknowledged.extend(ids);
    }
    acknowledged
}

/// Repeats the append under the same ids until the store says what became of it.
async fn append_until_known(store: &dyn EventStore, append: Append) -> Appended {
    let started = Instant::now();
    loop {
        match store.append(append.clone()).await {
            Ok(appended) => return appended,
            Err(error) if error.is_retryable() && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

/// Appends in transactions of its own that come to nothing: rolled back, failed, or cut off, each
/// after having drawn positions and held readers for a moment.
async fn abort_until(database: Arc<Database>, end: Instant) -> u64 {
    let mut aborted = 0;
    for round in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        let session = Session::open(database.url()).await;
        session.run("BEGIN").await;
        let shared = format!("test-shared-{}", round % 3);
        if session.try_append(&shared, "aborted", "{}").await.is_none() {
            // A writer of the store was faster, and the violation has ended the transaction.
            session.run("ROLLBACK").await;
            continue;
        }
        session.run("SELECT pg_sleep(0.003)").await;
        match round % 3 {
            0 => session.run("ROLLBACK").await,
            1 => session.run_into_error("SELECT 1 / 0").await,
            _ => session.run_into_error("SELECT pg_terminate_backend(pg_backend_pid())").await,
        }
        aborted += 1;
    }
    aborted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_misses_nothing_of_64_writers_among_whom_some_come_to_nothing() {
    let database = Arc::new(database().await);
    // Three handles that share the database only: two processes that write and one that reads.
    let writing = [open(&database).await, open(&database).await];
    let (done, last) = tokio::sync::watch::channel(GlobalPosition::START);
    let reader = tokio::spawn(follow(open(&database).await, last));
    let end = Instant::now() + load_time();
    let aborting: Vec<_> =
        (0..4).map(|_| tokio::spawn(abort_until(database.clone(), end))).collect();
    let writers: Vec<_> = (0..64)
        .map(|writer| tokio::spawn(write_until(writing[writer % 2].clone(), writer, end)))
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer panicked"));
    }
    let mut aborted = 0;
    for task in aborting {
        aborted += task.await.expect("no aborting task panicked");
    }
    // One more append, so that the end of the log can be told.
    let end = writing[0].append(to("end")).await.expect("an append").position;
    done.send(end).expect("the reader follows");
    let seen = tokio::time::timeout(PATIENCE, reader).await.expect("it gets there").expect("no panic");
    println!("{} events seen, {} acknowledged, {aborted} appends aborted", seen.len(), acknowledged.len());
    assert_holds_all(&seen, &acknowledged);
    assert_versions_are_contiguous(&seen);
    assert!(aborted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed_at_commit_lose_nothing_and_double_nothing() {
    let database = database().await;
    let store = open(&database).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let killed = Arc::new(AtomicU64::new(0));
    let killer = {
        let (url, is_over, killed) =
            (database.url().to_owned(), is_over.clone(), killed.clone());
        tokio::spawn(async move {
            let session = Session::open(&url).await;
            while !is_over.load(Ordering::Relaxed) {
                killed.fetch_add(session.kill_a_connection_of_the_store().await, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    };
    let end = Instant::now() + load_time() / 2;
    let writers: Vec<_> = (0..16)
        .map(|writer| tokio::spawn(write_until(store.clone(), writer, end)))
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer panicked"));
    }
    is_over.store(true, Ordering::Relaxed);
    killer.await.expect("no panic");
    // Every append was repeated until it was acknowledged, so the log holds those events only.
    let store = open(&database).await;
    let (_, last) = tokio::sync::watch::channel(store.high_water_mark().await.expect("a mark"));
    let seen = follow(store, last).await;
    println!("{} events, {} connections killed", seen.len(), killed.load(Ordering::Relaxed));
    assert_holds_all(&seen, &acknowledged);
    assert_eq!(seen.len(), acknowledged.len(), "an event is there that nobody appended");
    assert_versions_are_contiguous(&seen);
    assert!(killed.load(Ordering::Relaxed) > 0);
}

/// Decides on the number of events it sees, as a seat count would, and writes that number down.
async fn take_numbers_until(store: Arc<PostgresStore>, end: Instant) -> (u64, u64) {
    let query = Query::of(QueryItem::tagged([tag("hot")]));
    let selection = Selection::Query(query.clone());
    let (mut position, mut count, mut won, mut lost) = (GlobalPosition::START, 0_u64, 0, 0);
    while Instant::now() < end {
        loop {
            let page = store.read_all(&selection, position, 500).await.expect("a page");
            (position, count) = (page.read_to, count + page.events.len() as u64);
            if page.is_last {
                break;
            }
        }
        let event = NewEvent::new("numbered", &count).expect("a number").with_tag(tag("hot"));
        let append = Append::to(stream(event.id), ExpectedVersion::NoStream, vec![event])
            .with_condition(AppendCondition::new(query.clone(), position));
        match store.append(append).await {
            Ok(_) => won += 1,
            Err(AppendError::ConditionFailed) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    (won, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_conditional_appends_win_on_one_state() {
    let database = database().await;
    let stores = [open(&database).await, open(&database).await];
    let end = Instant::now() + load_time() / 4;
    let contenders: Vec<_> = (0..8)
        .map(|contender| tokio::spawn(take_numbers_until(stores[contender % 2].clone(), end)))
        .collect();
    let (mut won, mut lost) = (0, 0);
    for contender in contenders {
        let (wins, losses) = contender.await.expect("no panic");
        (won, lost) = (won + wins, lost + losses);
    }
    println!("{won} conditional appends won, {lost} lost");
    let (_, last) = tokio::sync::watch::channel(stores[0].high_water_mark().await.expect("a mark"));
    let numbers = follow(stores[0].clone(), last).await;
    let numbers: Vec<u64> =
        numbers.iter().map(|event| event.data.to_value().expect("a number")).collect();
    assert_eq!(numbers, (0..won).collect::<Vec<_>>());
    assert!(lost > 0, "nobody contended");
}

// --- Whom readers and writers wait for ------------------------------------------------------------

#[tokio::test]
async fn foreign_transactions_here_and_in_another_database_delay_nothing() {
    let (here, there) = (database().await, database().await);
    let store = open(&here).await;
    let (session, elsewhere) = (Session::open(here.url()).await, Session::open(there.url()).await);
    for session in [&session, &elsewhere] {
        session.run("CREATE TABLE theirs (n int)").await;
        session.run("BEGIN ISOLATION LEVEL SERIALIZABLE").await;
        session.run("INSERT INTO theirs VALUES (1)").await;
    }
    let append = to("a");
    let position = store.append(append.clone()).await.expect("an append").position;
    // Both transactions are still open.
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
    assert_eq!(ids_of_all(&store).await, ids(&append));
}

#[tokio::test]
async fn an_append_in_flight_in_another_database_holds_nobody_here() {
    let (here, there) = (database().await, database().await);
    let (store, _other) = (open(&here).await, open(&there).await);
    let elsewhere = Session::open(there.url()).await;
    elsewhere.run("BEGIN").await;
    elsewhere.append("test-a", "open", &[]).await;
    let position = store.append(to("a")).await.expect("an append").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
}

#[tokio::test]
async fn a_users_own_advisory_locks_hold_no_reader() {
    let database = database().await;
    let store = open(&database).await;
    let user = Session::open(database.url()).await;
    user.run("BEGIN").await;
    // Another name, the name of ours as two integers, and a key of ours taken exclusively.
    user.run("SELECT pg_advisory_xact_lock_shared(0)").await;
    user.run("SELECT pg_advisory_xact_lock_shared(24001 << 16, 0)").await;
    user.run("SELECT pg_advisory_xact_lock((24001::bigint << 48) | 9)").await;
    for _ in 0..8 {
        store.append(to("a")).await.expect("an append");
    }
    let position = store.append(to("a")).await.expect("an append").position;
    assert_eq!(position, GlobalPosition::new(9));
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
}

#[tokio::test]
async fn a_conflict_with_an_open_append_is_decided_when_that_one_ends() {
    for (ending, expected) in [("COMMIT", false), ("ROLLBACK", true)] {
        let database = database().await;
        let store = open(&database).await;
        let other = Session::open(database.url()).await;
        other.run("BEGIN").await;
        other.append("test-a", "open", &[]).await;
        let append = Append::to(stream("a"), ExpectedVersion::NoStream, vec![event("tested")]);
        let appending = tokio::spawn({
            let store = store.clone();
            async move { store.append(append).await }
        });
        other.wait_until_somebody_waits_for("transactionid").await;
        assert!(!appending.is_finished());
        other.run(ending).await;
        match appending.await.expect("no panic") {
            Ok(_) => assert!(expected, "it was appended though the other one committed"),
            Err(AppendError::VersionConflict { actual, .. }) => {
                assert!(!expected);
                assert_eq!(actual, StreamVersion::new(1));
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(ids_of_all(&store).await.len(), 1);
    }
}

// --- The watermark, rule by rule ------------------------------------------------------------------

/// Reader below the oldest append in flight. Without the look at the locks the second append's
/// position is the head, and the first append's events come behind a reader's back.
#[tokio::test]
async fn a_reader_stops_below_an_append_in_flight_and_then_sees_both_in_order() {
    let database = database().await;
    let store = open(&database).await;
    let slow = Session::open(database.url()).await;
    slow.run("BEGIN").await;
    let first = slow.append("test-slow", "first", &[]).await;
    let append = to("fast");
    let second = store.append(append.clone()).await.expect("an append").position;
    assert_eq!(first.1 + 1, second.get());

    // A reader that trusts what it sees would go on behind position 2 and never see position 1.
    let unguarded = slow.outside().await.number("SELECT max(position) FROM highwater.events").await;
    assert_eq!(unguarded, second.get() as i64);

    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::START);
    assert!(ids_of_all(&store).await.is_empty());
    // A decision reads its stream whole, above the mark too.
    let of_stream = store.read_stream(&stream("fast"), StreamVersion::EMPTY, 10).await;
    assert_eq!(of_stream.expect("a stream").len(), 1);

    slow.run("COMMIT").await;
    assert_eq!(ids_of_all(&store).await, [vec![first.0], ids(&append)].concat());
}

/// Head and page in two statements. In one REPEATABLE READ transaction the head is of now and the
/// page of before.
#[tokio::test]
async fn one_snapshot_for_head_and_page_would_miss_events_and_is_refused() {
    let database = database().await;
    let store = open(&database).await;
    let reader = Session::open(database.url()).await;
    reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert_eq!(reader.number("SELECT count(*) FROM highwater.events").await, 0);
    store.append(to("a")).await.expect("an append");
    // The broken variant: sequence and locks are no part of the snapshot, events are.
    assert_eq!(reader.number("SELECT last_value FROM highwater.event_position").await, 1);
    assert_eq!(reader.number(raw_session::OLDEST_IN_FLIGHT).await, i64::MAX);
    assert_eq!(reader.number("SELECT count(*) FROM highwater.events WHERE position <= 1").await, 0);
    reader.run_into_error("SELECT highwater.high_water_mark()").await;
}

/// The sequence before the locks. The other way round, an append can begin in between.
#[tokio::test]
async fn locks_read_before_the_sequence_would_cover_an_append_in_flight() {
    let database = database().await;
    let store = open(&database).await;
    let (reader, slow) = (Session::open(database.url()).await, Session::open(database.url()).await);
    // The broken variant's first half: nobody is in flight.
    assert_eq!(reader.number(raw_session::OLDEST_IN_FLIGHT).await, i64::MAX);
    slow.run("BEGIN").await;
    slow.append("test-slow", "first", &[]).await;
    store.append(to("fast")).await.expect("an append");
    // Its second half: everything up to 2 looks safe, and 1 is still to come.
    assert_eq!(reader.number("SELECT last_value FROM highwater.event_position").await, 2);
    // The right order, at the same moment.
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::START);
    slow.run("COMMIT").await;
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::new(2));
}

/// The lock before the first position. An insert that draws without it is missed by readers, which
/// is why nobody is granted one.
#[tokio::test]
async fn an_insert_past_the_append_path_would_be_missed_and_is_not_granted() {
    let database = database().await;
    let store = open(&database).await;
    let owner = Session::open(database.url()).await;
    owner.run("BEGIN").await;
    owner.insert_without_lock("test-past").await;
    let second = store.append(to("a")).await.expect("an append").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), second, "nothing tells of position 1");
    owner.run("COMMIT").await;

    let app = owner.as_application_role().await;
    app.append("test-app", "granted", &[]).await;
    app.number("SELECT highwater.high_water_mark()").await;
    for refused in [
        "SELECT nextval('highwater.event_position')",
        "INSERT INTO highwater.events SELECT * FROM highwater.events",
        "UPDATE highwater.events SET type = 'x'",
        "DELETE FROM highwater.events",
        "TRUNCATE highwater.events",
    ] {
        app.run_into_error(refused).await;
    }
}

/// A position that was drawn and given up may be drawn again after a crash: no mark names it.
#[tokio::test]
async fn the_mark_names_an_event_and_never_a_position_that_was_given_up() {
    let database = database().await;
    let store = open(&database).await;
    let first = store.append(to("a")).await.expect("an append").position;
    let session = Session::open(database.url()).await;
    session.run("BEGIN").await;
    session.append("test-b", "given-up", &[]).await;
    session.run("ROLLBACK").await;
    assert_eq!(session.number("SELECT last_value FROM highwater.event_position").await, 2);
    assert_eq!(store.high_water_mark().await.expect("a mark"), first);
    let next = store.append(to("a")).await.expect("an append").position;
    assert_eq!(next, GlobalPosition::new(3), "the gap stays");
    assert_eq!(ids_of_all(&store).await.len(), 2);
}

#[tokio::test]
async fn the_sequence_caches_nothing_and_its_zero_is_burnt() {
    let database = database().await;
    let store = open(&database).await;
    let session = Session::open(database.url()).await;
    let cache = "SELECT cache_size FROM pg_sequences WHERE sequencename = 'event_position'";
    assert_eq!(session.number(cache).await, 1);
    assert_eq!(session.number("SELECT last_value FROM highwater.event_position").await, 0);
    assert_eq!(session.number("SELECT is_called::int::bigint FROM highwater.event_position").await, 1);
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::START);
}

// --- Conditions -----------------------------------------------------------------------------------

/// Locks first, the check in a later statement; and every append takes part, tagged or not.
#[tokio::test]
async fn a_condition_waits_for_a_matching_append_in_flight_and_then_fails() {
    let questions = [
        ("one of its tags", Query::of(QueryItem::tagged([tag("x")])), "{about:x,about:y}"),
        (
            "two of its tags",
            Query::of(QueryItem::tagged([tag("y"), tag("x")])),
            "{about:x,about:y}",
        ),
        ("the type of an untagged event", Query::of(QueryItem::types(["matching"])), "{}"),
        (
            "type and tag",
            Query::of(QueryItem::types(["matching"]).and_tag(tag("x"))),
            "{about:x}",
        ),
        ("any event", Query::of(QueryItem::default()), "{}"),
        (
            "an alternative",
            Query::of(QueryItem::types(["other"])).or(QueryItem::types(["matching"])),
            "{}",
        ),
    ];
    for (question, query, tags) in questions {
        let database = database().await;
        let store = open(&database).await;
        let other = Session::open(database.url()).await;
        other.run("BEGIN").await;
        other.append_tagged("test-other", "matching", tags).await;
        // The decision reads while the other append is in flight, and sees nothing of it.
        let after = store.high_water_mark().await.expect("a mark");
        let append = to("mine").with_condition(AppendCondition::new(query, after));
        let appending = tokio::spawn({
            let store = store.clone();
            async move { store.append(append).await }
        });
        other.wait_until_somebody_waits_for("advisory").await;
        other.run("COMMIT").await;
        let outcome = appending.await.expect("no panic");
        assert!(matches!(outcome, Err(AppendError::ConditionFailed)), "{question}: {outcome:?}");
    }
}

/// Waiting for a tag happens before the watermark lock: it holds no reader.
#[tokio::test]
async fn a_condition_that_waits_holds_no_reader() {
    let database = database().await;
    let store = open(&database).await;
    let holder = Session::open(database.url()).await;
    holder.run("BEGIN").await;
    holder.run("SELECT pg_advisory_xact_lock_shared((24002::bigint << 48) | n) FROM generate_series(0, 319) n").await;
    let query = Query::of(QueryItem::tagged([tag("x")]));
    let waiting = to("mine").with_condition(AppendCondition::new(query, GlobalPosition::START));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.append(waiting).await }
    });
    holder.wait_until_somebody_waits_for("advisory").await;
    let position = store.append(to("other")).await.expect("plain appends don't wait").position;
    assert_eq!(store.high_water_mark().await.expect("a mark"), position);
    holder.run("COMMIT").await;
    waiting.await.expect("no panic").expect("the condition holds");
}

// --- Opening --------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_that_start_at_once_migrate_once() {
    let database = Arc::new(database().await);
    let starting = (0..8).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { PostgresStore::connect(database.url()).await.map(drop) })
    });
    for started in starting.collect::<Vec<_>>() {
        started.await.expect("no panic").expect("a store");
    }
    let session = Session::open(database.url()).await;
    assert!(session.number("SELECT count(*) FROM highwater.migrations").await > 0);
}

#[tokio::test]
async fn another_text_under_a_migrations_number_is_refused() {
    let database = database().await;
    drop(open(&database).await);
    let session = Session::open(database.url()).await;
    session.run("UPDATE highwater.migrations SET checksum = 'x' WHERE version = 2").await;
    let refused = PostgresStore::connect(database.url()).await;
    assert!(matches!(refused, Err(ConnectError::MigrationDiffers { version: 2 })));
}

#[tokio::test]
async fn no_error_and_no_debug_text_shows_the_password() {
    let options = || PostgresOptions::new().with_connect_patience(Duration::from_millis(300));
    // Port 1 refuses at once.
    let url = "postgresql://app:hunter2@127.0.0.1:1/orders";
    let error = PostgresStore::connect_with(url, options()).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.is_retryable());
    let told = format!("{error} {error:?} {:?} {:?}", options(), std::error::Error::source(&error));
    assert!(told.contains("127.0.0.1:1/orders"));
    assert!(!told.contains("hunter2"), "{told}");
}
