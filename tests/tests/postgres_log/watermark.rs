//! The watermark, rule by rule: each test shows the anomaly that its rule prevents.

use super::*;

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
    assert_eq!(
        store.high_water_mark().await.expect("a mark"),
        second,
        "nothing tells of position 1"
    );
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
    assert_eq!(
        session.number("SELECT is_called::int::bigint FROM highwater.event_position").await,
        1
    );
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::START);
}
