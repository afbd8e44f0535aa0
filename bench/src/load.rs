//! Loading an aggregate of 100 events, against the same query and the same decoding by hand.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use highwater::postgres::PostgresStore;
use highwater::{CommandHandler, EventStore};
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::account::Account;
use crate::raw_log::{RawLog, SameQuery};
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent};

/// Tasks that load at the same time; the baseline has a connection for each.
const TASKS: [usize; 2] = [1, 16];

/// Measures loads.
pub async fn run(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let most = TASKS.into_iter().max().unwrap_or(1);
    let raw = RawLog::create(&theirs, most).await;
    let streams = effort.pick(500, 5_000);
    seed::accounts(Extent { streams, events_each: 100 }, &store, &raw).await;
    seed::settle([&ours, &theirs]).await;
    let handler = CommandHandler::new(store.clone());
    let same = join_all((0..most).map(|_| SameQuery::of(&ours))).await;
    for tasks in TASKS {
        compare(
            "load",
            &format!("{tasks} tasks, 100 events"),
            "loads/s",
            effort.rounds(),
            || load(handler.clone(), tasks, streams, effort.round_length()),
            || {
                let sessions: Vec<_> = (0..tasks).map(|task| raw.session(task)).collect();
                load_by_hand(tasks, streams, effort.round_length(), move |task, account| {
                    let session = sessions[task].clone();
                    async move { session.load(account).await }
                })
            },
        )
        .await;
        compare(
            "load",
            &format!("{tasks} tasks, 100 events, vs the same statement by hand"),
            "loads/s",
            effort.rounds(),
            || load(handler.clone(), tasks, streams, effort.round_length()),
            || {
                let sessions = same.clone();
                load_by_hand(tasks, streams, effort.round_length(), move |task, account| {
                    let session = sessions[task].clone();
                    async move { session.load(account).await }
                })
            },
        )
        .await;
    }
    store.close().await;
}

async fn load(handler: CommandHandler, tasks: usize, streams: u64, length: Duration) -> Sample {
    let turn = Arc::new(AtomicU64::new(0));
    Sample::take(tasks, length, move |_| {
        let (handler, account) = (handler.clone(), next(&turn, streams));
        async move {
            let loaded = handler.load::<Account>(&account).await.expect("the account is there");
            assert_eq!(loaded.version.get(), 100, "the whole account was loaded");
            black_box(loaded);
        }
    })
    .await
}

async fn load_by_hand<L, F>(tasks: usize, streams: u64, length: Duration, load: L) -> Sample
where
    L: Fn(usize, u64) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = (Account, i64)> + Send + 'static,
{
    let turn = Arc::new(AtomicU64::new(0));
    Sample::take(tasks, length, move |task| {
        let loading = load(task, next(&turn, streams));
        async move {
            let (state, version) = loading.await;
            assert_eq!(version, 100, "the whole account was loaded");
            black_box(state);
        }
    })
    .await
}

fn next(turn: &AtomicU64, streams: u64) -> u64 {
    turn.fetch_add(1, Ordering::Relaxed) % streams
}
