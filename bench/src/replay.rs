//! Reading the whole log into typed events: on one task, and with decoding on several lanes.
//!
//! Two baselines, both the faster of two ways to read by hand. The lean one reads five columns of a
//! lean table, and is compared with reading bare events. A whole one has ten columns (its id, when it
//! was recorded, its tags …), so for those the baseline reads the same ten, from Highwater's own table.

use std::hint::black_box;
use std::sync::Arc;

use futures::{StreamExt, stream};
use highwater::postgres::PostgresStore;
use highwater::{
    BareEvent, Decoded, EventStore, GlobalPosition, LogEvent, Page, RecordedEvent, Selection,
    Subscription,
};
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::account::AccountEvent;
use crate::raw_log::{RawLog, RawReader, WholeEvents};
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent};

const EVENTS_EACH: u64 = 100;
/// Events per page, as many as the baseline's.
const PAGE: usize = 5_000;
/// Pages that are decoded at the same time, where they are.
const LANES: usize = 2;

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
    let whole_events = WholeEvents::of(&ours).await;
    let whole_reader = faster_whole_reader(&whole_events, events).await;
    let (on_one, on_lanes) = (1, LANES);
    for lanes in [on_one, on_lanes] {
        compare(
            "replay",
            &format!("{events} events into types, {lanes} lanes, vs lean {}", reader.name()),
            "events/s",
            effort.rounds(),
            || Sample::once(whole(events, replay(store.clone(), events, lanes))),
            || replay_by_hand(&raw, reader, events),
        )
        .await;
    }
    compare(
        "replay",
        &format!("{events} events into types, 1 lane, vs whole {}", whole_reader.name()),
        "events/s",
        effort.rounds(),
        || Sample::once(whole(events, replay_whole(store.clone(), events))),
        || replay_whole_by_hand(&whole_events, whole_reader, events),
    )
    .await;
    store.close().await;
}

fn log_of(store: Arc<PostgresStore>) -> Subscription {
    Subscription::new(store, Selection::All, GlobalPosition::START).with_page_size(PAGE)
}

/// Reads the log's `events` bare and decodes them; says how many were read.
async fn replay(store: Arc<PostgresStore>, events: u64, lanes: usize) -> u64 {
    let log = log_of(store).bare();
    if lanes == 1 {
        on_one_task(log, events, decode_bare).await
    } else {
        on_lanes(log, events, lanes).await
    }
}

/// Reads them with their envelopes.
async fn replay_whole(store: Arc<PostgresStore>, events: u64) -> u64 {
    on_one_task(log_of(store), events, decode_whole).await
}

async fn on_one_task<E: LogEvent>(
    mut log: Subscription<E>,
    events: u64,
    decode: impl Fn(&E) -> Decoded<AccountEvent>,
) -> u64 {
    let mut read = 0;
    while read < events {
        let page = log.next_page().await.expect("the log can be read");
        for event in &page.events {
            black_box(decode(event));
        }
        read += page.events.len() as u64;
    }
    read
}

/// Whoever needs no order among streams decodes several pages at a time.
async fn on_lanes(log: Subscription<BareEvent>, events: u64, lanes: usize) -> u64 {
    let pages = stream::unfold((log, 0), |(mut log, read)| async move {
        if read >= events {
            return None;
        }
        let page = log.next_page().await.expect("the log can be read");
        let read = read + page.events.len() as u64;
        Some((page, (log, read)))
    });
    let decode = |page: Page<BareEvent>| {
        tokio::spawn(async move {
            for event in &page.events {
                black_box(decode_bare(event));
            }
            page.events.len() as u64
        })
    };
    pages
        .map(decode)
        .buffered(lanes)
        .fold(0, async |read, page| read + page.expect("a page can be decoded"))
        .await
}

fn decode_bare(event: &BareEvent) -> Decoded<AccountEvent> {
    event.decode().expect("an event of an account")
}

fn decode_whole(event: &RecordedEvent) -> Decoded<AccountEvent> {
    event.decode().expect("an event of an account")
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

async fn replay_whole_by_hand(log: &WholeEvents, reader: RawReader, events: u64) -> Sample {
    let log = log.clone();
    Sample::once(whole(events, async move { log.replay(reader).await })).await
}

async fn faster_whole_reader(log: &WholeEvents, events: u64) -> RawReader {
    let mut fastest = (0.0, RawReader::KeysetPages);
    for reader in [RawReader::KeysetPages, RawReader::BinaryCopy] {
        replay_whole_by_hand(log, reader, events).await;
        let speed = replay_whole_by_hand(log, reader, events).await.per_second();
        eprintln!("replay / whole events by hand with {}: {speed:.0} events/s", reader.name());
        if speed > fastest.0 {
            fastest = (speed, reader);
        }
    }
    fastest.1
}
