//! Commands on aggregates of 100 events, each task on its own: load, decide, append one event.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::CommandHandler;
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::account::Deposit;
use crate::raw_log::RawLog;
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent};

/// Tasks at the same time; the baseline has a connection for each.
const TASKS: usize = 64;

/// Accounts that a task goes round, so that none grows much beyond 100 events.
struct Rounds {
    accounts_each: u64,
    turns: Vec<AtomicU64>,
}

impl Rounds {
    fn next(&self, task: usize) -> u64 {
        let turn = self.turns[task].fetch_add(1, Ordering::Relaxed);
        task as u64 * self.accounts_each + turn % self.accounts_each
    }
}

/// Measures deposits.
pub async fn run(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = RawLog::create(&theirs, TASKS).await;
    let accounts_each = effort.pick(20, 100);
    let streams = accounts_each * TASKS as u64;
    seed::accounts(Extent { streams, events_each: 100 }, &store, &raw).await;
    seed::settle([&ours, &theirs]).await;
    let handler = CommandHandler::new(store.clone());
    let rounds = || {
        let turns = (0..TASKS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Rounds { accounts_each, turns })
    };
    compare(
        "deposit",
        &format!("{TASKS} tasks, each its own accounts of 100 events"),
        "commands/s",
        effort.rounds(),
        || deposit(handler.clone(), rounds(), effort.round_length()),
        || deposit_by_hand(&raw, rounds(), effort.round_length()),
    )
    .await;
    store.close().await;
}

async fn deposit(handler: CommandHandler, rounds: Arc<Rounds>, length: Duration) -> Sample {
    Sample::take(TASKS, length, move |task| {
        let (handler, account) = (handler.clone(), rounds.next(task));
        async move {
            handler.execute(Deposit::into(account)).await.expect("the account is open");
        }
    })
    .await
}

async fn deposit_by_hand(raw: &RawLog, rounds: Arc<Rounds>, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..TASKS).map(|task| raw.session(task)).collect();
    Sample::take(TASKS, length, move |task| {
        let (session, account) = (sessions[task].clone(), rounds.next(task));
        async move { session.deposit(account).await }
    })
    .await
}
