//! Reading the whole log into typed events on one task.

use std::hint::black_box;
use std::sync::Arc;

use highwater::postgres::PostgresStore;
use highwater::{EventStore, GlobalPosition, Selection};
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::account::AccountEvent;
use crate::raw_log::{RawLog, RawReader};
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent};

const EVENTS_EACH: u64 = 100;
/// Events per page, as many as the baseline's.
const PAGE: usize = 5_000;

/// Measures replays against the faster of two ways to read by hand.
pub async fn run(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = RawLog::create(&theirs, seed::APPENDS_AT_ONCE).await;
    let events = effort.events(100_000, 1_000_000);
    let extent = Extent { streams: events.div_ceil(EVENTS_EACH), events_each: EVENTS_EACH };
    seed::accounts(extent, &store, &raw).await;
    seed::settle([&ours, &theirs]).await;
    let events = extent.streams * extent.events_each;
    let reader = faster_reader(&raw, events).await;
    compare(
        "replay",
        &format!("{events} events into types, vs {}", reader.name()),
        "events/s",
        effort.rounds(),
        || Sample::once(whole(events, replay(store.clone()))),
        || replay_by_hand(&raw, reader, events),
    )
    .await;
    store.close().await;
}

/// Reads and decodes the log of `store` to its end; says how many events there were.
pub async fn replay(store: Arc<PostgresStore>) -> u64 {
    let (mut read, mut after) = (0, GlobalPosition::START);
    loop {
        let page = store.read_all(&Selection::All, after, PAGE).await.expect("the log can be read");
        for recorded in &page.events {
            black_box(recorded.decode::<AccountEvent>().expect("an event of an account"));
        }
        read += page.events.len() as u64;
        after = page.read_to;
        if page.is_last {
            return read;
        }
    }
}

async fn whole(events: u64, replay: impl Future<Output = u64>) -> u64 {
    let read = replay.await;
    assert_eq!(read, events, "the whole log was read");
    read
}

async fn replay_by_hand(raw: &RawLog, reader: RawReader, events: u64) -> Sample {
    let session = raw.session(0);
    Sample::once(whole(events, async move { session.replay(reader).await })).await
}

/// Tries each reader twice, the second time with warm caches.
async fn faster_reader(raw: &RawLog, events: u64) -> RawReader {
    let mut fastest = (0.0, RawReader::KeysetPages);
    for reader in [RawReader::KeysetPages, RawReader::BinaryCopy] {
        replay_by_hand(raw, reader, events).await;
        let speed = replay_by_hand(raw, reader, events).await.per_second();
        eprintln!("replay / by hand with {}: {speed:.0} events/s", reader.name());
        if speed > fastest.0 {
            fastest = (speed, reader);
        }
    }
    fastest.1
}
