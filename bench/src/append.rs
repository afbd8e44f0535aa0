//! Appends of one event to streams of their own, at growing numbers of writers.

use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{Append, EventStore, ExpectedVersion, NewEvent, StreamId};
use highwater_tests::services::PostgresService;
use uuid::Uuid;

use crate::Effort;
use crate::raw_log::RawWriter;
use crate::report::compare;
use crate::sample::Sample;

/// The payload's filling: with names and quotes about 330 bytes, like a small order.
const MEMO_BYTES: usize = 300;

/// Writers that append at the same time; the baseline has a connection for each.
const WRITERS: [usize; 2] = [1, 64];

/// Measures appends to new streams against one INSERT per transaction.
pub async fn run(server: &PostgresService, effort: Effort) {
    let ours = server.fresh_database().await;
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = server.fresh_database().await;
    let most = WRITERS.into_iter().max().unwrap_or(1);
    let raw = RawWriter::connect(&raw, most).await;
    for writers in WRITERS {
        let case = format!("{writers} writers, 1 event each");
        compare(
            "append",
            &case,
            "events/s",
            effort.rounds(),
            || append(store.clone(), writers, effort.round_length()),
            || insert(&raw, writers, effort.round_length()),
        )
        .await;
    }
    store.close().await;
}

async fn append(store: Arc<PostgresStore>, writers: usize, length: Duration) -> Sample {
    let memo: Arc<str> = "m".repeat(MEMO_BYTES).into();
    Sample::take(writers, length, move |_| {
        let (store, memo) = (store.clone(), memo.clone());
        async move {
            let stream = StreamId::new("account", Uuid::now_v7()).expect("a UUID is a key");
            let data = serde_json::json!({ "memo": &*memo });
            let event = NewEvent::new("deposited", &data).expect("this is JSON");
            let append = Append::to(stream, ExpectedVersion::NoStream, vec![event]);
            store.append(append).await.expect("the stream is new");
        }
    })
    .await
}

async fn insert(raw: &[RawWriter], writers: usize, length: Duration) -> Sample {
    let (raw, memo): (Vec<_>, Arc<str>) = (raw.to_vec(), "m".repeat(MEMO_BYTES).into());
    Sample::take(writers, length, move |task| {
        let (writer, memo) = (raw[task].clone(), memo.clone());
        async move {
            let stream = format!("account-{}", Uuid::now_v7());
            let data = serde_json::json!({ "memo": &*memo }).to_string();
            writer.insert(&stream, 1, &data).await;
        }
    })
    .await
}
