//! What a layer on the log costs: the same appends and reads through it and without it.
//!
//! Tenancy: the store of a tenant, out of a hundred that share the log, against the log itself.
//! Sealing: an event with one personal value of 300 bytes, against the same text in plain.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{
    Append, EventStore, ExpectedVersion, MasterKeys, NewEvent, Personal, SealedLog, SecretKey,
    StreamId, StreamVersion, TenantId, TenantStore, Vault,
};
use highwater_tests::services::{Database, PostgresService};
use uuid::Uuid;

use crate::Effort;
use crate::report::compare;
use crate::sample::Sample;
use crate::seed;

const MEMO_BYTES: usize = 300;
const TENANTS: usize = 100;
/// Whose keys are warm: fewer than a vault keeps.
const SUBJECTS: u64 = 1_000;
const WRITERS: [usize; 2] = [1, 64];
const READERS: usize = 16;
/// Streams that are read, and the events in each.
const STREAMS: u64 = 1_000;
const EVENTS_EACH: usize = 100;

/// Whose personal data an event holds.
#[derive(Clone, Copy)]
enum Holds {
    /// Nobody's: plain text.
    Nothing,
    /// One of a thousand subjects'.
    Known,
    /// That of somebody who has no key yet.
    New,
}

/// A log with or without the layer, as its users share it.
#[derive(Clone)]
struct Side {
    stores: Arc<Vec<Arc<dyn EventStore>>>,
    holds: Holds,
    turn: Arc<AtomicU64>,
}

impl Side {
    fn new(stores: Vec<Arc<dyn EventStore>>, holds: Holds) -> Self {
        Self { stores: Arc::new(stores), holds, turn: Arc::default() }
    }

    fn holding(&self, holds: Holds) -> Self {
        Self { holds, ..self.clone() }
    }

    fn event(&self, turn: u64) -> NewEvent {
        let memo = "m".repeat(MEMO_BYTES);
        let event = match self.holds {
            Holds::Nothing => NewEvent::new("noted", &serde_json::json!({ "memo": memo })),
            Holds::Known => {
                let memo = Personal::of(format_args!("c-{}", turn % SUBJECTS), memo);
                NewEvent::new("noted", &serde_json::json!({ "memo": memo }))
            }
            Holds::New => {
                let memo = Personal::of(Uuid::now_v7(), memo);
                NewEvent::new("noted", &serde_json::json!({ "memo": memo }))
            }
        };
        event.expect("this is JSON")
    }

    fn store(&self, turn: u64) -> Arc<dyn EventStore> {
        self.stores[turn as usize % self.stores.len()].clone()
    }

    async fn append(&self, writers: usize, length: Duration) -> Sample {
        let side = self.clone();
        Sample::take(writers, length, move |_| {
            let side = side.clone();
            async move {
                let turn = side.turn.fetch_add(1, Ordering::Relaxed);
                let stream = StreamId::new("note", Uuid::now_v7()).expect("a UUID is a key");
                let events = vec![side.event(turn)];
                let append = Append::to(stream, ExpectedVersion::NoStream, events);
                side.store(turn).append(append).await.expect("the stream is new");
            }
        })
        .await
    }

    /// Writes the streams that are read.
    async fn fill(&self) {
        for number in 0..STREAMS {
            let events = (0..EVENTS_EACH as u64).map(|event| self.event(number + event)).collect();
            let append = Append::to(read(number), ExpectedVersion::NoStream, events);
            self.store(number).append(append).await.expect("the stream is new");
        }
    }

    async fn read(&self, length: Duration) -> Sample {
        let side = self.clone();
        Sample::take(READERS, length, move |_| {
            let side = side.clone();
            async move {
                let number = side.turn.fetch_add(1, Ordering::Relaxed) % STREAMS;
                let store = side.store(number);
                let events = store.read_stream(&read(number), StreamVersion::EMPTY, 1_000).await;
                let events = events.expect("the log is there");
                assert_eq!(events.len(), EVENTS_EACH, "the whole stream was read");
                black_box(events);
            }
        })
        .await
    }
}

fn read(number: u64) -> StreamId {
    StreamId::new("read", number).expect("a number is a key")
}

async fn connect(database: &Database) -> Arc<PostgresStore> {
    PostgresStore::connect(database.url()).await.expect("the store opens")
}

/// Measures a tenant's store.
pub async fn tenancy(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let (log, plain) = (connect(&ours).await, connect(&theirs).await);
    let tenants = (0..TENANTS).map(|number| {
        let tenant = TenantId::new(&format!("tenant-{number}")).expect("a valid name");
        Arc::new(TenantStore::new(log.clone(), &tenant)) as Arc<dyn EventStore>
    });
    let tenants = Side::new(tenants.collect(), Holds::Nothing);
    let plain = Side::new(vec![plain], Holds::Nothing);
    fill([&tenants, &plain]).await;
    for writers in WRITERS {
        let case = format!("append, {writers} writers, 1 event each, vs the log itself");
        appends("tenancy", &case, writers, effort, [&tenants, &plain]).await;
    }
    reads("tenancy", effort, [&tenants, &plain], [&ours, &theirs]).await;
}

/// Measures a log that seals personal data.
pub async fn sealing(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let (log, plain) = (connect(&ours).await, connect(&theirs).await);
    let master = MasterKeys::new("bench", SecretKey::from_bytes([7; 32]));
    // Warm keys stay warm for as long as is measured.
    let vault = Vault::new(log.clone(), master)
        .with_cached_keys(std::num::NonZeroUsize::MAX, Duration::from_secs(3_600));
    let sealed = Side::new(vec![Arc::new(SealedLog::new(log, vault))], Holds::Known);
    let plain = Side::new(vec![plain], Holds::Nothing);
    // It makes the subjects' keys, and leaves them warm.
    fill([&sealed, &plain]).await;
    for writers in WRITERS {
        let case = format!("append, {writers} writers, 1 personal value each, vs plain text");
        appends("sealing", &case, writers, effort, [&sealed, &plain]).await;
    }
    let anew = sealed.holding(Holds::New);
    let case = "append, 64 writers, each value of a new subject, vs plain text";
    appends("sealing", case, 64, effort, [&anew, &plain]).await;
    reads("sealing", effort, [&sealed, &plain], [&ours, &theirs]).await;
}

async fn appends(bench: &str, case: &str, writers: usize, effort: Effort, sides: [&Side; 2]) {
    let [ours, baseline] = sides;
    let length = effort.round_length();
    let (ours, baseline) = (|| ours.append(writers, length), || baseline.append(writers, length));
    compare(bench, case, "events/s", effort.rounds(), ours, baseline).await;
}

async fn fill(sides: [&Side; 2]) {
    for side in sides {
        side.fill().await;
    }
}

async fn reads(bench: &str, effort: Effort, sides: [&Side; 2], databases: [&Database; 2]) {
    seed::settle(databases).await;
    let [ours, baseline] = sides;
    let length = effort.round_length();
    let case = format!("reads of {EVENTS_EACH} events, {READERS} tasks, vs without");
    let (ours, baseline) = (|| ours.read(length), || baseline.read(length));
    compare(bench, &case, "reads/s", effort.rounds(), ours, baseline).await;
}
