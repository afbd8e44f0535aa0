//! The functions that append beside `append_batch`: each keeps the watermark, runs nobody else's code
//! with its owner's rights, and leaves what it can't decide to `append_batch`.

use super::*;

/// Waits in the middle of a function, until the test lets go.
const PAUSE: &str = "PERFORM pg_catalog.pg_advisory_xact_lock_shared(7);";

/// A reader behind the drawing: does it stop below the position that was drawn?
async fn stops_below_a_drawn_position(way: Way, is_locked: bool) -> bool {
    let database = database().await;
    let store = open(&database).await;
    let (gate, slow) = (Session::open(database.url()).await, Session::open(database.url()).await);
    // A position has been drawn, and its transaction is open.
    let behind = match way {
        Way::Events => "IF event_tags IS NOT NULL THEN",
        Way::Event | Way::Batch => "END\n$function$",
        Way::Turn => "RETURN;",
    };
    gate.change_function(way.function(), &[(behind, &format!("{PAUSE} {behind}"))]).await;
    if !is_locked {
        gate.change_function("draw_positions", &[("pg_advisory_xact_lock_shared", "int8abs")])
            .await;
    }
    gate.run("SELECT pg_advisory_lock(7)").await;
    let appending = tokio::spawn(async move {
        slow.append_by(way, "test-slow", "first", "{}").await.expect("nobody else appends");
    });
    gate.wait_until_somebody_waits_for("advisory").await;
    // Another position is drawn and committed, by hand: the store's own appends would pause as well.
    gate.insert_without_lock("test-fast").await;
    let mark = store.high_water_mark().await.expect("a mark");
    gate.run("SELECT pg_advisory_unlock(7)").await;
    appending.await.expect("no panic");
    mark == GlobalPosition::START
}

#[tokio::test]
async fn every_way_takes_the_watermark_lock_for_what_it_draws() {
    for way in Way::ALL {
        assert!(stops_below_a_drawn_position(way, true).await, "{way:?}");
        assert!(!stops_below_a_drawn_position(way, false).await, "{way:?} can't fail");
    }
}

/// `append_event` runs with its owner's rights and doesn't set a search path.
#[tokio::test]
async fn a_search_path_captures_nothing_that_runs_with_the_owners_rights() {
    let database = database().await;
    open(&database).await.close().await;
    let owner = Session::open(database.url()).await;
    owner.run("CREATE SCHEMA evil").await;
    for (name, left, right, result) in [
        ("=", "text", "text", "boolean"),
        ("=", "bigint", "bigint", "boolean"),
        ("=", "bigint", "integer", "boolean"),
        ("<", "bigint", "bigint", "boolean"),
        ("<>", "text", "text", "boolean"),
        ("+", "bigint", "integer", "bigint"),
        ("|", "bigint", "bigint", "bigint"),
        ("&", "integer", "integer", "integer"),
    ] {
        let procedure = format!("evil.\"{name}\"");
        owner.run(&captures(&procedure, &format!("{left}, {right}"), result)).await;
        let operands = format!("LEFTARG = {left}, RIGHTARG = {right}");
        owner
            .run(&format!("CREATE OPERATOR evil.{name} (PROCEDURE = {procedure}, {operands})"))
            .await;
    }
    for (name, parameters, result) in [
        ("current_setting", "text", "text"),
        ("set_config", "text, text, boolean", "text"),
        ("hashtext", "text", "integer"),
        ("pg_advisory_xact_lock_shared", "bigint", "void"),
        ("pg_sequence_last_value", "regclass", "bigint"),
        ("nextval", "regclass", "bigint"),
        ("setval", "regclass, bigint", "bigint"),
        ("now", "", "timestamptz"),
    ] {
        owner.run(&captures(&format!("evil.{name}"), parameters, result)).await;
    }
    let caller = Session::open(database.url()).await;
    caller.run("SET search_path = evil, pg_catalog").await;
    let append = |version: u64| {
        format!(
            "SELECT highwater.append_event('test-a', {version}, pg_catalog.gen_random_uuid(), 'x', 1,
            '{{}}', NULL)"
        )
    };
    caller.run(&append(0)).await;
    caller.run(&append(1)).await;
    // The variant with one bare operator runs the caller's.
    let (whole, bare) = ("expected OPERATOR(pg_catalog.=) 0", "expected = 0");
    owner.change_function(Way::Event.function(), &[(whole, bare)]).await;
    caller.run_into_error(&append(2)).await;
}

fn captures(name: &str, parameters: &str, result: &str) -> String {
    format!(
        "CREATE FUNCTION {name}({parameters}) RETURNS {result} LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'captured'; END $$"
    )
}

/// A conflict in a batch of plain appends costs the others nothing, and is told precisely.
#[tokio::test]
async fn what_a_short_way_leaves_open_is_decided_precisely() {
    let database = database().await;
    let store = open(&database).await;
    let known = to("known");
    let first = store.append(known.clone()).await.expect("an append");
    let fresh = |key: &str, expected| Append::to(stream(key), expected, vec![event("tested")]);
    let appends = [
        to("a"),
        fresh("known", ExpectedVersion::NoStream),
        fresh("b", ExpectedVersion::StreamExists),
        to("c"),
        known,
    ];
    // More callers than batches in flight: they share batches.
    let running: Vec<_> = appends
        .into_iter()
        .map(|append| {
            let store = store.clone();
            tokio::spawn(async move { store.append(append).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for outcome in running {
        outcomes.push(outcome.await.expect("no panic"));
    }
    let [a, conflict, absent, c, repeated] = &outcomes[..] else { panic!("five outcomes") };
    assert!(a.is_ok() && c.is_ok(), "{a:?} {c:?}");
    let Err(AppendError::VersionConflict { actual, .. }) = conflict else { panic!("{conflict:?}") };
    assert_eq!(*actual, StreamVersion::new(1));
    let Err(AppendError::VersionConflict { actual, .. }) = absent else { panic!("{absent:?}") };
    assert_eq!(*actual, StreamVersion::EMPTY);
    let repeated = repeated.as_ref().expect("it was appended before");
    assert!(repeated.was_repeated);
    assert_eq!(repeated.position, first.position);
    assert_eq!(ids_of_all(&store).await.len(), 3);
}
