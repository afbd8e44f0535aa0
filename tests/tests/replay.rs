//! Replay and incremental state are one: whatever is commanded by whom, every decision was made on
//! exactly the fold of what stands before it, and a state that was kept warm is the one that a
//! replay of the whole stream gives.

use std::sync::Arc;

use highwater::postgres::PostgresStore;
use highwater::sqlite::SqliteStore;
use highwater::{CommandHandler, EventStore, Evolve, MemoryStore, Selection};
use highwater_tests::conformance::log::given::everything;
use highwater_tests::killed_writers::tally::{Count, EVENTS_PER_COMMAND, Tally, TallyEvent, check};
use highwater_tests::services;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Which handler commands which tally, again and again.
fn turns() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..3_usize, 0..2_usize), 1..30)
}

/// Runs `cases` random sequences on one log, each on tallies of its own.
fn replays(cases: u32, store: Arc<dyn EventStore>, runtime: &tokio::runtime::Runtime) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let number = std::cell::Cell::new(0);
    let outcome = TestRunner::new(config).run(&turns(), |turns| {
        number.set(number.get() + 1);
        runtime.block_on(replay(&store, number.get(), &turns))
    });
    runtime.block_on(store.close());
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}

async fn replay(
    store: &Arc<dyn EventStore>,
    number: usize,
    turns: &[(usize, usize)],
) -> Result<(), TestCaseError> {
    // Each keeps states warm that the others make old.
    let handlers: Vec<_> = (0..3).map(|_| CommandHandler::new(store.clone())).collect();
    let name = |tally: usize| format!("{number}.{tally}");
    let mut counts = [0; 2];
    for (handler, tally) in turns {
        let counted = handlers[*handler].execute(Count(name(*tally))).await;
        let receipt = counted.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        counts[*tally] += EVENTS_PER_COMMAND as u64;
        prop_assert_eq!(receipt.version.get(), counts[*tally]);
    }
    let log = everything(&**store, &Selection::All).await;
    check(&log).map_err(TestCaseError::fail)?;
    for (tally, count) in counts.iter().enumerate() {
        let loaded = handlers[0].load::<Tally>(&name(tally)).await;
        let loaded = loaded.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        let mut folded = Tally::default();
        (0..*count).for_each(|from| folded.evolve(&TallyEvent::Counted { from }));
        prop_assert_eq!((&loaded.state, loaded.version.get()), (&folded, *count));
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_replay_gives_what_was_decided_on_in_memory() {
    replays(60, Arc::new(MemoryStore::new()), &runtime());
}

#[test]
fn a_replay_gives_what_was_decided_on_in_sqlite() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let runtime = runtime();
    let store = runtime.block_on(SqliteStore::open(folder.path().join("log.db")));
    replays(20, store.expect("a log"), &runtime);
}

#[test]
fn a_replay_gives_what_was_decided_on_in_postgres() {
    let runtime = runtime();
    let (database, store) = runtime.block_on(async {
        let database = services::postgres().await.fresh_database().await;
        let store = PostgresStore::connect(database.url()).await.expect("a log");
        (database, store)
    });
    replays(10, store, &runtime);
    drop(database);
}
