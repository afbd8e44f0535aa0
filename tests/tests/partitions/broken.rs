//! The guards of 0011_partitions.sql, one by one: the race finds what goes wrong without each.
//!
//! The functions that append are changed in two ways that do no harm and make faults likely: they look
//! for heads in all partitions at once, and some take their time between looking and writing, longer
//! than a roll-over takes.

use highwater::EventStore;
use highwater_tests::conformance::log::given::{event, stream, to_any, versions, whole_stream};
use highwater_tests::conformance::log::oracle::Violation;

use super::race::{Plan, race};

const PLAN: Plan = Plan { events_per_partition: 12, writers: 16, rounds: 30 };

/// Changes a function's text, and fails if a piece isn't there.
pub(super) fn changed(function: &str, pieces: &[(&str, &str)]) -> String {
    let mut sql = format!(
        "DO $change$ DECLARE body text; BEGIN
        SELECT pg_get_functiondef(oid) INTO body FROM pg_proc
        WHERE proname = '{function}' AND pronamespace = 'highwater'::regnamespace;"
    );
    for (old, new) in pieces {
        sql.push_str(&format!(
            "IF position($old${old}$old$ IN body) = 0 THEN
                RAISE EXCEPTION '{function} has changed'; END IF;
            body := replace(body, $old${old}$old$, $new${new}$new$);"
        ));
    }
    sql.push_str("EXECUTE body; END $change$;");
    sql
}

const IN_ALL: (&str, &str) = ("highwater.live_events()", "highwater.events");
/// In `append_batch` the streams have been looked at, and nothing is drawn yet.
const LOOKED: &str = "-- Step 4: draw and write.";
const SLOWLY: &str = "PERFORM pg_sleep(CASE WHEN random() < 0.3 THEN 0.08 ELSE 0 END);
    -- Step 4: draw and write.";

fn slow() -> String {
    ["append_event", "append_events"]
        .map(|function| changed(function, &[IN_ALL]))
        .into_iter()
        .chain([changed("append_batch", &[IN_ALL, (LOOKED, SLOWLY)])])
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_functions_that_ask_all_partitions_keep_every_promise() {
    let report = race(PLAN, &slow()).await.expect("the oracle holds");
    assert!(report.partitions > 10 && report.repeated > 20, "{report:?}");
}

/// Races with a guard removed until it is seen: a version that stands for two events, an append that is
/// told of another one's or of none, an event that isn't where it was said to be.
async fn expect_doubled(change: &str) {
    for _ in 0..10 {
        match race(PLAN, change).await {
            Ok(_) => {}
            Err(
                Violation::VersionGap { .. }
                | Violation::Misled { .. }
                | Violation::Lost { .. }
                | Violation::Missed { .. },
            ) => return,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the variant can't fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_over_that_waits_for_no_append_lets_a_version_be_given_twice() {
    let locks = "PERFORM pg_catalog.pg_advisory_xact_lock(";
    let none = changed("close_log", &[(locks, "PERFORM pg_catalog.int8abs(")]);
    expect_doubled(&(slow() + &none)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_looks_before_it_has_its_lock_gives_a_version_twice() {
    let lock = "PERFORM pg_advisory_xact_lock_shared(k.key)";
    let late = "PERFORM pg_advisory_xact_lock_shared(type_locks | (hashtext(u.type) & 63))
        FROM unnest(event_types) u(type); -- Step 4: draw and write.";
    let moved = changed("append_batch", &[(lock, "PERFORM int8abs(k.key)"), (LOOKED, late)]);
    expect_doubled(&(slow() + &moved)).await;
}

/// As `append_in` calls it, but in one text: what a driver sends to prepare a statement makes a session
/// look around, and no promise may rest on that.
const APPEND: &str =
    "SELECT FROM highwater.append_batch(1, '{1}', '{test-a}', '{-2}', '{1}', '{1}',
    '{test-a}', ARRAY[gen_random_uuid()], '{tested}', '{1}', '{NULL}', ARRAY['{}'::json],
    ARRAY[NULL::json], NULL, NULL, NULL, NULL, NULL, NULL)";

/// Appends in a transaction that has read all tables before others came into the next partition, on a
/// connection that knows its plans. The versions that its stream then has.
async fn versions_behind_a_transaction_that_has_read_everything(
    change: &str,
) -> Result<Vec<u64>, tokio_postgres::Error> {
    let (database, store) = super::log_in_partitions_of(3).await;
    let client = super::session(&database).await;
    super::run(&client, change).await;
    for _ in 0..2 {
        super::run(&client, APPEND).await;
    }
    super::run(&client, "BEGIN").await;
    for table in ["events", "event_tags", "stream_retention", "log_partitions"] {
        super::number(&client, &format!("SELECT count(*) FROM highwater.{table}")).await;
    }
    for _ in 0..3 {
        let one = to_any(&stream("a"), vec![event("tested")]);
        store.append(one).await.expect("an append");
    }
    client.batch_execute(&format!("{APPEND}; COMMIT")).await?;
    Ok(versions(&whole_stream(&*store, &stream("a")).await))
}

#[tokio::test]
async fn a_transaction_that_has_read_everything_knows_which_partition_is_live() {
    let versions = versions_behind_a_transaction_that_has_read_everything("").await;
    assert_eq!(versions.expect("an append"), (1..=6).collect::<Vec<u64>>());
    let lock = "LOCK TABLE highwater.stream_retention IN ROW SHARE MODE;";
    let unaware = changed("append_batch", &[(lock, "")]);
    let versions = versions_behind_a_transaction_that_has_read_everything(&unaware).await;
    let refused = versions.expect_err("the variant can't fail");
    // In vain, time and again, and nothing worse.
    let code = refused.code().expect("of the database").code();
    assert!(["HW001", "23505"].contains(&code), "{refused:?}");
}

/// Somebody rolls over in a snapshot that doesn't show an event whose append was in flight. How often its
/// id stands in the log after it was appended once more.
async fn times_an_id_is_given_behind_a_roll_over_in_an_old_snapshot(change: &str) -> i64 {
    let (database, store) = super::log_in_partitions_of(5).await;
    let (mut caller, owner) = (super::session(&database).await, super::session(&database).await);
    super::run(&owner, change).await;
    store.append(to_any(&stream("a"), vec![event("tested")])).await.expect("an append");
    let appended = to_any(&stream("b"), vec![event("tested")]);
    let id = appended.events().next().expect("an event").id;
    let open = caller.transaction().await.expect("a transaction");
    store.append_in(&open, appended.clone()).await.expect("an append");
    super::run(
        &owner,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM highwater.events",
    )
    .await;
    open.commit().await.expect("a commit");
    // Refused or not, the log must stay right.
    let _ = owner.batch_execute("SELECT highwater.roll_over(5)").await;
    super::run(&owner, "COMMIT").await;
    let again = store.append(appended).await.expect("an append");
    assert_eq!(again.heads[0].stream, stream("b"));
    let times = format!("SELECT count(*) FROM highwater.events WHERE event_id = '{id}'");
    super::number(&owner, &times).await
}

#[tokio::test]
async fn a_roll_over_in_an_old_snapshot_is_refused() {
    assert_eq!(times_an_id_is_given_behind_a_roll_over_in_an_old_snapshot("").await, 1);
    let insist = "PERFORM highwater.insist_on_read_committed();";
    let lax = changed("roll_over", &[(insist, "")]);
    assert_eq!(times_an_id_is_given_behind_a_roll_over_in_an_old_snapshot(&lax).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_look_at_sealed_partitions_a_repetition_is_appended_again() {
    let known = "IF FOUND THEN RETURN true; END IF;";
    let none = changed("write_older_lookups", &[(known, "")]);
    expect_doubled(&none).await;
}
