//! Many tasks that command one aggregate.

use std::cell::Cell;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{CommandError, CommandHandler, EventStore};
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::account::Deposit;
use crate::raw_log::RawLog;
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent};

/// Tasks at the same time; the baseline has a connection for each.
const TASKS: usize = 32;

/// Measures deposits to one account.
pub async fn run(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = RawLog::create(&theirs, TASKS).await;
    // Every round has an account of its own: what a round appends would slow the next one down.
    let streams = effort.rounds() as u64;
    seed::accounts(Extent { streams, events_each: 100 }, &store, &raw).await;
    seed::settle([&ours, &theirs]).await;
    let handler = CommandHandler::new(store.clone());
    let (our_round, their_round) = (Cell::new(0), Cell::new(0));
    compare(
        "contend",
        &format!("{TASKS} tasks on one account of 100 events"),
        "commands/s",
        effort.rounds(),
        || deposit(handler.clone(), next(&our_round), effort.round_length()),
        || deposit_by_hand(&raw, next(&their_round), effort.round_length()),
    )
    .await;
    store.close().await;
}

fn next(round: &Cell<u64>) -> u64 {
    round.replace(round.get() + 1)
}

async fn deposit(handler: CommandHandler, account: u64, length: Duration) -> Sample {
    Sample::take(TASKS, length, move |_| {
        let handler = handler.clone();
        async move {
            // Giving up and coming again is a part of what a command costs here.
            loop {
                match handler.execute(Deposit::into(account)).await {
                    Ok(_) => return,
                    Err(CommandError::Contended { .. }) => {}
                    Err(error) => panic!("a deposit failed: {error}"),
                }
            }
        }
    })
    .await
}

async fn deposit_by_hand(raw: &RawLog, account: u64, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..TASKS).map(|task| raw.session(task)).collect();
    Sample::take(TASKS, length, move |task| {
        let session = sessions[task].clone();
        async move { session.deposit(account).await }
    })
    .await
}
