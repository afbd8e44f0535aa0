//! Appends of one event to streams of their own, at growing numbers of callers.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use highwater::postgres::{PostgresOptions, PostgresStore};
use highwater::{Append, EventStore, ExpectedVersion, NewEvent, PipelineLimits, StreamId};
use highwater_tests::services::{Database, PostgresService};
use uuid::Uuid;

use crate::Effort;
use crate::append_crew::AppendCrew;
use crate::raw_log::{IndexedLog, RawLog};
use crate::report::compare;
use crate::sample::Sample;

const TYPE: &str = "deposited";
/// The payload's filling: with names and quotes about 330 bytes, like a small order.
const MEMO_BYTES: usize = 300;

/// Writers that append at the same time; the baseline has a connection for each.
const WRITERS: [usize; 2] = [1, 64];
/// A service under a crowd: more callers than any database takes connections.
const CROWD: usize = 1_024;
/// What the crowd is compared with: the best loop that a bulk loader would run.
const BATCH_EVENTS: usize = 100;
const BATCH_CONNECTIONS: usize = 8;
/// Writers of each process, where there are several.
const WRITERS_EACH: usize = 64;
/// Writers at which the number of batches in flight is compared.
const TUNED_WRITERS: [usize; 4] = [1, 8, 64, 256];

/// Which appends to measure; all that need one process unless told.
#[derive(Args)]
pub struct AppendSettings {
    /// Compares this many processes of 64 writers each with one process of as many writers.
    #[arg(long)]
    processes: Option<usize>,
    /// Compares this many batches in flight with the default.
    #[arg(long, hide = true)]
    in_flight: Option<usize>,
}

/// Measures appends to new streams.
pub async fn run(server: &PostgresService, effort: Effort, settings: &AppendSettings) {
    match settings {
        AppendSettings { processes: Some(processes), .. } => {
            compare_processes(server, effort, *processes).await;
        }
        AppendSettings { in_flight: Some(batches), .. } => {
            compare_in_flight(server, effort, *batches).await;
        }
        _ => compare_with_raw(server, effort).await,
    }
}

async fn compare_with_raw(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = RawLog::create(&theirs, WRITERS.into_iter().max().unwrap_or(1)).await;
    for writers in WRITERS {
        compare(
            "append",
            &format!("{writers} writers, 1 event each"),
            "events/s",
            effort.rounds(),
            || append(store.clone(), writers, effort.round_length()),
            || insert(&raw, writers, effort.round_length()),
        )
        .await;
    }
    compare(
        "append",
        &format!("{CROWD} callers, 1 event each, vs batches of {BATCH_EVENTS}"),
        "events/s",
        effort.rounds(),
        || append(store.clone(), CROWD, effort.round_length()),
        || insert_batches(&raw, effort.round_length()),
    )
    .await;
    compare_with_as_many_indexes(store.clone(), &theirs, effort).await;
    store.close().await;
}

async fn compare_with_as_many_indexes(
    store: Arc<PostgresStore>,
    theirs: &Database,
    effort: Effort,
) {
    let indexed = IndexedLog::create(theirs, BATCH_CONNECTIONS).await;
    compare(
        "append",
        "1 writers, 1 event each, vs as many indexes",
        "events/s",
        effort.rounds(),
        || append(store.clone(), 1, effort.round_length()),
        || insert_indexed(&indexed, effort.round_length()),
    )
    .await;
    compare(
        "append",
        &format!("{CROWD} callers, 1 event each, vs batches of {BATCH_EVENTS} and as many indexes"),
        "events/s",
        effort.rounds(),
        || append(store.clone(), CROWD, effort.round_length()),
        || insert_indexed_batches(&indexed, effort.round_length()),
    )
    .await;
}

async fn compare_processes(server: &PostgresService, effort: Effort, processes: usize) {
    // A log for each side, so that neither finds the other's events in its indexes.
    let (several, one) = (server.fresh_database().await, server.fresh_database().await);
    let writers = processes * WRITERS_EACH;
    let several = AppendCrew::start(several.url(), processes, WRITERS_EACH).await;
    let one = AppendCrew::start(one.url(), 1, writers).await;
    compare(
        "append",
        &format!("{processes} processes of {WRITERS_EACH} writers, vs one of {writers}"),
        "events/s",
        effort.rounds(),
        || several.sample(effort.round_length()),
        || one.sample(effort.round_length()),
    )
    .await;
    several.dismiss().await;
    one.dismiss().await;
}

async fn compare_in_flight(server: &PostgresService, effort: Effort, batches: usize) {
    let (told, usual) = (server.fresh_database().await, server.fresh_database().await);
    let limits = PipelineLimits::new().with_batches_in_flight(batches);
    let options = PostgresOptions::new().with_pipeline(limits);
    let told = PostgresStore::connect_with(told.url(), options).await.expect("the store opens");
    let usual = PostgresStore::connect(usual.url()).await.expect("the store opens");
    for writers in TUNED_WRITERS {
        compare(
            "append",
            &format!("{batches} in flight, {writers} writers, vs the default"),
            "events/s",
            effort.rounds(),
            || append(told.clone(), writers, effort.round_length()),
            || append(usual.clone(), writers, effort.round_length()),
        )
        .await;
    }
    told.close().await;
    usual.close().await;
}

/// Lets `writers` callers append one event at a time to new streams.
pub async fn append(store: Arc<PostgresStore>, writers: usize, length: Duration) -> Sample {
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    Sample::take(writers, length, move |_| {
        let (store, memo) = (store.clone(), memo.clone());
        async move {
            let stream = StreamId::new("account", Uuid::now_v7()).expect("a UUID is a key");
            let data = serde_json::json!({ "memo": &*memo });
            let event = NewEvent::new(TYPE, &data).expect("this is JSON");
            let append = Append::to(stream, ExpectedVersion::NoStream, vec![event]);
            store.append(append).await.expect("the stream is new");
        }
    })
    .await
}

async fn insert(raw: &RawLog, writers: usize, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..writers).map(|task| raw.session(task)).collect();
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    Sample::take(writers, length, move |task| {
        let (session, memo) = (sessions[task].clone(), memo.clone());
        async move {
            let stream = format!("account-{}", Uuid::now_v7());
            let data = data_with(&memo);
            session.insert(&stream, 1, TYPE, &data).await.expect("the stream is new");
        }
    })
    .await
}

async fn insert_batches(raw: &RawLog, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..BATCH_CONNECTIONS).map(|task| raw.session(task)).collect();
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    let sample = Sample::take(BATCH_CONNECTIONS, length, move |task| {
        let (session, memo) = (sessions[task].clone(), memo.clone());
        async move {
            session.insert_batch(batch_with(&memo), TYPE).await;
        }
    });
    sample.await.with_things_each(BATCH_EVENTS as u64)
}

async fn insert_indexed(log: &IndexedLog, length: Duration) -> Sample {
    let session = log.session(0);
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    Sample::take(1, length, move |_| {
        let (session, memo) = (session.clone(), memo.clone());
        async move { session.insert(TYPE, &data_with(&memo)).await }
    })
    .await
}

async fn insert_indexed_batches(log: &IndexedLog, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..BATCH_CONNECTIONS).map(|task| log.session(task)).collect();
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    let sample = Sample::take(BATCH_CONNECTIONS, length, move |task| {
        let (session, memo) = (sessions[task].clone(), memo.clone());
        async move { session.insert_batch(batch_with(&memo), TYPE).await }
    });
    sample.await.with_things_each(BATCH_EVENTS as u64)
}

fn data_with(memo: &str) -> String {
    serde_json::json!({ "memo": memo }).to_string()
}

/// Each event is written as JSON, as the other side's are: a loader has events, not text.
fn batch_with(memo: &str) -> Vec<String> {
    (0..BATCH_EVENTS).map(|_| data_with(memo)).collect()
}
