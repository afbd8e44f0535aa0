//! Three processes of 32 writers each on one durable PostgreSQL, one of them killed every second:
//! every acknowledged append is there once and whole, and a reader has seen everything in order.
//!
//! `HIGHWATER_TEST_SECONDS=60 cargo test -p highwater-tests --test killed_writers` runs it for the
//! full minute; CI is content with 15 seconds.

use std::path::Path;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater_tests::conformance::log::oracle::Violation;
use highwater_tests::killed_writers::{Honesty, Plan, run, verdict};
use highwater_tests::services;

/// Environment variable: for how many seconds the processes write.
const SECONDS: &str = "HIGHWATER_TEST_SECONDS";
const PROGRAM: &str = env!("CARGO_BIN_EXE_killed-writer");

fn load_time() -> Duration {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Runs the plan on a database of its own, and asks the oracle.
async fn judged(plan: Plan) -> Result<(), Violation> {
    let database = services::postgres().await.fresh_database().await;
    let url = database.url().to_owned();
    let running = tokio::task::spawn_blocking(move || run(Path::new(PROGRAM), &url, plan));
    let outcome = running.await.expect("the processes start, write and die");
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    let counts = outcome.ledger.counts();
    println!("{} kills, {counts:?}", outcome.kills);
    let log = verdict::check(&*store, &outcome.ledger, &outcome.reader).await?;
    println!("{} events in the log", log.len());
    let each = [counts.single, counts.multi, counts.conditional, counts.commands];
    assert!(each.iter().all(|count| *count > 50), "too few to show anything: {counts:?}");
    assert!(counts.refused > 0, "nobody raced for a condition");
    Ok(())
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost_doubled_or_torn_when_a_process_dies_every_second() {
    let plan = Plan {
        processes: 3,
        writers: 32,
        duration: load_time(),
        kill_every: Duration::from_secs(1),
        honesty: Honesty::Honest,
    };
    judged(plan).await.expect("the oracle holds");
}

#[tokio::test]
async fn a_process_that_acknowledges_before_the_commit_is_found_out() {
    let plan = Plan {
        processes: 2,
        writers: 32,
        duration: Duration::from_secs(2),
        kill_every: Duration::from_millis(500),
        honesty: Honesty::AcknowledgesEarly,
    };
    let found = judged(plan).await;
    assert!(matches!(found, Err(Violation::Lost { times: 0, .. })), "{found:?}");
}
