//! Commands on aggregates of 100 events, each task on its own: load, decide, append one event.
//!
//! A task of Highwater's keeps to one account, whose state its command handler keeps warm. By hand
//! there is no such state: every deposit loads. Its tasks go round their accounts, so that no
//! history that they load grows much beyond 100 events while they are measured.

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

/// Accounts that a task goes round by hand.
struct Rounds {
    accounts_each: u64,
    turns: Vec<AtomicU64>,
}

impl Rounds {
    fn new(accounts_each: u64) -> Arc<Self> {
        let turns = (0..TASKS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { accounts_each, turns })
    }

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
    compare(
        "deposit",
        &format!("{TASKS} tasks, each its own account of 100 events"),
        "commands/s",
        effort.rounds(),
        || deposit(handler.clone(), accounts_each, effort.round_length()),
        || deposit_by_hand(&raw, Rounds::new(accounts_each), effort.round_length()),
    )
    .await;
    store.close().await;
}

async fn deposit(handler: CommandHandler, accounts_each: u64, length: Duration) -> Sample {
    Sample::take(TASKS, length, move |task| {
        let (handler, account) = (handler.clone(), task as u64 * accounts_each);
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
