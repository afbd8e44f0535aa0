//! The watermark, rule by rule: each test shows the anomaly that its rule prevents.

use tokio_postgres::error::SqlState;

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

/// The reading of the sequence, and the end of the look at the locks.
const SEQUENCE: &str = "SELECT s.last_value INTO drawn FROM highwater.event_position s;";
const LOCKS_END: &str = "AND l.granted;";
const GATE: &str = "PERFORM pg_catalog.pg_advisory_xact_lock_shared(7);";

/// The mark that a reader finds who is held up between its two looks, while an append begins and stays
/// open and another one commits behind it.
async fn mark_with_a_pause_between_sequence_and_locks(change: &[(&str, &str)]) -> i64 {
    let database = database().await;
    let store = open(&database).await;
    let (gate, slow) = (Session::open(database.url()).await, Session::open(database.url()).await);
    gate.change_function("high_water_mark", change).await;
    gate.run("SELECT pg_advisory_lock(7)").await;
    let reader = Session::open(database.url()).await;
    let reading =
        tokio::spawn(async move { reader.number("SELECT highwater.high_water_mark()").await });
    gate.wait_until_somebody_waits_for("advisory").await;
    slow.run("BEGIN").await;
    slow.append("test-slow", "first", &[]).await;
    store.append(to("fast")).await.expect("an append");
    gate.run("SELECT pg_advisory_unlock(7)").await;
    let mark = reading.await.expect("no panic");
    slow.run("COMMIT").await;
    mark
}

#[tokio::test]
async fn a_reader_that_looks_at_the_locks_first_would_pass_an_append_in_flight() {
    let paused = format!("{SEQUENCE} {GATE}");
    let mark = mark_with_a_pause_between_sequence_and_locks(&[(SEQUENCE, &paused)]).await;
    assert_eq!(mark, 0);
    let late = format!("{LOCKS_END} {GATE} {SEQUENCE}");
    let locks_first = [(SEQUENCE, ""), (LOCKS_END, &*late)];
    let mark = mark_with_a_pause_between_sequence_and_locks(&locks_first).await;
    assert_eq!(mark, 2, "the variant can't fail");
}

/// A standby shows none of the primary's locks. The server is made to say that it is one.
#[tokio::test]
async fn on_a_standby_there_is_no_mark() {
    let database = database().await;
    open(&database).await.append(to("a")).await.expect("an append");
    let reader = Session::open(database.url()).await;
    assert_eq!(reader.number("SELECT highwater.high_water_mark()").await, 1);
    reader.run("CREATE SCHEMA standby").await;
    reader
        .run("CREATE FUNCTION standby.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'")
        .await;
    reader.run("SET search_path = standby, pg_catalog").await;
    reader.run_into_error("SELECT highwater.high_water_mark()").await;
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
    app.run("INSERT INTO highwater.event_schemas SELECT * FROM highwater.event_schemas").await;
    app.run("DELETE FROM highwater.snapshots; UPDATE highwater.subject_keys SET masters = masters")
        .await;
    owner.run("CREATE TABLE highwater.of_a_later_migration (n int)").await;
    app.number("SELECT count(*) FROM highwater.of_a_later_migration").await;
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

const DRAW_LOCK: &str = "SELECT pg_advisory_lock(24004::bigint << 48)";
const DRAW_UNLOCK: &str = "SELECT pg_advisory_unlock(24004::bigint << 48)";
const DRAW_LOCKS_HELD: &str = "SELECT count(*) FROM pg_locks l
    JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
    WHERE l.locktype = 'advisory' AND l.classid::bigint >> 16 = 24004";

/// Appends two events to a stream, through the store's function.
fn append_of_two(stream: &str) -> String {
    format!(
        "SELECT FROM highwater.append_batch(1, '{{1}}', '{{{stream}}}', '{{-2}}', '{{1,1}}', '{{1,2}}',
        '{{{stream},{stream}}}', ARRAY[gen_random_uuid(), gen_random_uuid()], '{{x,x}}', '{{1,1}}',
        '{{NULL,NULL}}', ARRAY['1','2']::json[], '{{NULL,NULL}}'::json[], NULL, NULL, NULL, NULL, NULL,
        NULL)"
    )
}

/// All positions of an append are drawn in one step. One by one, a key could stand within them, and
/// the mark with it.
#[tokio::test]
async fn positions_drawn_one_by_one_would_show_half_an_append() {
    let database = database().await;
    let store = open(&database).await;
    let (drawing, slow) =
        (Session::open(database.url()).await, Session::open(database.url()).await);
    // The broken variant, by hand: two events in one transaction, and a key taken in between.
    let take_key = "SELECT pg_advisory_xact_lock_shared((24001::bigint << 48) | s.last_value)
        FROM highwater.event_position s";
    drawing.run("BEGIN").await;
    drawing.run(take_key).await;
    drawing.insert_without_lock("test-a").await;
    slow.run("BEGIN").await;
    slow.run(take_key).await;
    slow.insert_without_lock("test-slow").await;
    drawing.insert_without_lock("test-b").await;
    drawing.run("COMMIT").await;
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::new(1));
    slow.run("COMMIT").await;

    // The functions: whoever comes while an append is open finds the end of it.
    drawing.run("BEGIN").await;
    drawing.run(&append_of_two("test-c")).await;
    slow.run("BEGIN").await;
    slow.append("test-slow", "second", &[]).await;
    drawing.run("COMMIT").await;
    assert_eq!(store.high_water_mark().await.expect("a mark"), GlobalPosition::new(5));
    slow.run("COMMIT").await;
}

/// Two appends, the first of which is held up between reading the sequence and moving it on; how many
/// of them were written.
async fn written_beside_one_that_draws(change: &[(&str, &str)]) -> usize {
    let database = database().await;
    open(&database).await.close().await;
    let gate = Session::open(database.url()).await;
    let read = "OPERATOR(pg_catalog.+) wanted)";
    let then_wait = "OPERATOR(pg_catalog.+) wanted OPERATOR(pg_catalog.+)
        CASE WHEN pg_catalog.pg_advisory_xact_lock_shared(7) IS NULL THEN 1 ELSE 0 END)";
    gate.change_function("draw_positions", &[change, &[(read, then_wait)]].concat()).await;
    gate.run("SELECT pg_advisory_lock(7)").await;
    let mut appending = Vec::new();
    for stream in ["test-a", "test-b"] {
        let session = Session::open(database.url()).await;
        let append = append_of_two(stream);
        appending.push(tokio::spawn(async move { session.try_run(&append).await }));
        gate.wait_until_so_many_wait_for_advisory_locks(appending.len()).await;
    }
    gate.run("SELECT pg_advisory_unlock(7)").await;
    let mut written = 0;
    for appended in appending {
        written += usize::from(appended.await.expect("no panic").is_ok());
    }
    written
}

/// One session at a time reads the sequence and moves it on.
#[tokio::test]
async fn without_the_draw_lock_a_position_is_drawn_twice() {
    assert_eq!(written_beside_one_that_draws(&[]).await, 2);
    let unguarded = [
        ("pg_try_advisory_lock(", "int8ge(1, "),
        ("pg_advisory_unlock(", "int8ge(1, "),
        ("OR highwater.wait_for_draw_lock()", "OR true"),
    ];
    assert_eq!(written_beside_one_that_draws(&unguarded).await, 1, "the variant can't fail");
}

/// The draw lock belongs to a session: it is given back also when a statement is cancelled.
#[tokio::test]
async fn a_cancelled_append_leaves_nobody_waiting_for_the_draw_lock() {
    let database = database().await;
    let store = open(&database).await;
    let holder = Session::open(database.url()).await;
    for way in Way::ALL {
        let cancelled = Session::open(database.url()).await;
        cancelled.run("SET statement_timeout = '200ms'").await;
        holder.run(DRAW_LOCK).await;
        assert_eq!(cancelled.error_of_appending(way).await, SqlState::QUERY_CANCELED);
        holder.run(DRAW_UNLOCK).await;
        assert_eq!(holder.number(DRAW_LOCKS_HELD).await, 0, "{way:?}");
        store.append(to("a")).await.expect("an append");
    }
}

/// An append waits for the draw lock and is cancelled just when it gets it, time and again. True if it
/// was left with the lock once.
async fn keeps_the_draw_lock_if_cancelled_when_it_is_granted(change: &[(&str, &str)]) -> bool {
    let database = database().await;
    open(&database).await.close().await;
    let holder = Session::open(database.url()).await;
    holder.change_function("wait_for_draw_lock", change).await;
    for _ in 0..50 {
        let cancelled = Session::open(database.url()).await;
        let pid = cancelled.number("SELECT pg_backend_pid()::bigint").await;
        holder.run(DRAW_LOCK).await;
        let appending = tokio::spawn(async move {
            // Cancelled or, if the cancel came late, appended.
            let _ = cancelled.try_run(&append_of_two("test-a")).await;
            cancelled
        });
        holder.wait_until_so_many_wait_for_advisory_locks(1).await;
        holder.run(&format!("{DRAW_UNLOCK}, pg_cancel_backend({pid}::integer)")).await;
        let _open = appending.await.expect("no panic");
        if holder.number(DRAW_LOCKS_HELD).await > 0 {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn an_append_that_is_cancelled_when_the_draw_lock_is_granted_gives_it_back() {
    assert!(!keeps_the_draw_lock_if_cancelled_when_it_is_granted(&[]).await);
    let handler = ("PERFORM pg_catalog.pg_advisory_unlock(6756525340962586624);", "");
    assert!(keeps_the_draw_lock_if_cancelled_when_it_is_granted(&[handler]).await, "can't fail");
}

/// Nor when there is no room to draw.
#[tokio::test]
async fn an_append_without_room_leaves_nobody_waiting_for_the_draw_lock() {
    let database = database().await;
    open(&database).await.close().await;
    let (owner, failing) =
        (Session::open(database.url()).await, Session::open(database.url()).await);
    owner.change_function("has_room", &[("SELECT true", "SELECT false")]).await;
    for way in Way::ALL {
        assert_eq!(failing.error_of_appending(way).await.code(), "HW001");
        assert_eq!(failing.number(DRAW_LOCKS_HELD).await, 0, "{way:?}");
    }
    // The variant that refuses first keeps the lock.
    let given_back = (
        "WHEN pg_catalog.pg_advisory_unlock(6756525340962586624) THEN
                highwater",
        "ELSE highwater",
    );
    owner.change_function("draw_positions", &[given_back]).await;
    assert_eq!(failing.error_of_appending(Way::Event).await.code(), "HW001");
    assert_eq!(failing.number(DRAW_LOCKS_HELD).await, 1);
}

/// The planner puts the expressions in place of the calls: a function that it had to call would take as
/// long as the append, and would notice a cancellation while the draw lock is held.
#[tokio::test]
async fn the_expression_that_draws_stands_in_the_plan_of_each_way() {
    let database = database().await;
    open(&database).await.close().await;
    let session = Session::open(database.url()).await;
    let in_partitions = "SELECT highwater.begin_partitions(10)";
    for change in ["SELECT 1", in_partitions] {
        session.run(change).await;
        for (wanted, drawn_by) in [("1", "nextval"), ("cardinality($1)", "setval")] {
            session.run("DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan").await;
            let draw = format!("PREPARE draw(uuid[]) AS SELECT highwater.draw_positions({wanted})");
            session.run(&draw).await;
            let plan = session.text("EXPLAIN (VERBOSE, FORMAT JSON) EXECUTE draw('{}')").await;
            assert!(plan.contains(drawn_by), "{plan}");
            assert!(!plan.contains("draw_positions") && !plan.contains("has_room"), "{plan}");
        }
    }
}

/// The positions of a batch are drawn in one go: nobody's stand between them.
#[tokio::test]
async fn the_positions_of_an_append_follow_each_other_without_a_gap() {
    let database = database().await;
    let store = open(&database).await;
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let events = vec![event("tested"), event("tested"), event("tested")];
                let stream = stream(format!("writer-{writer}"));
                let append = Append::to(stream, ExpectedVersion::Any, events);
                let ids = ids(&append);
                store.append(append).await.expect("an append");
                let found = store.find(&ids).await.expect("they are there");
                let first = found[0].position.get();
                let positions: Vec<_> = found.iter().map(|found| found.position.get()).collect();
                assert_eq!(positions, [first, first + 1, first + 2]);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
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
