//! A tally that is kept in snapshots, and a log in memory whose snapshots do what a test says.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::tally::{Added, LIMIT, TooMuch};
use super::*;
use crate::retention::Truncation;
use crate::{
    Decision, Snapshot, SnapshotError, SnapshotPolicy, SnapshotStore, StateSchema, emit_all, ensure,
};

/// Its state is its whole history, so that two states are alike only if they were made alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    pub(super) amounts: Vec<u64>,
}

impl Ledger {
    pub(super) fn of(events: &[RecordedEvent]) -> Self {
        let mut ledger = Self::default();
        for recorded in events {
            recorded.decode::<Added>().unwrap().iter().for_each(|event| ledger.evolve(event));
        }
        ledger
    }
}

impl Aggregate for Ledger {
    const CATEGORY: &'static str = "ledger";
    type Id = String;
    type Event = Added;
    type Rejection = TooMuch;
    const SNAPSHOTS: Option<SnapshotPolicy<Self>> =
        Some(SnapshotPolicy::new("Ledger", 1).with_every(2));
}

impl Evolve for Ledger {
    fn evolve(&mut self, event: &Added) {
        self.amounts.push(event.by);
    }
}

/// Adds each amount, in an event of its own; no ledger passes the limit.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) to: String,
    pub(super) amounts: Vec<u64>,
    pub(super) id: Option<CommandId>,
}

impl Book {
    pub(super) fn one(amount: u64) -> Self {
        Self::each([amount])
    }

    pub(super) fn each(amounts: impl IntoIterator<Item = u64>) -> Self {
        Self { to: "a".to_owned(), amounts: amounts.into_iter().collect(), id: None }
    }

    pub(super) fn under(mut self, id: CommandId) -> Self {
        self.id = Some(id);
        self
    }
}

impl Command for Book {
    type Aggregate = Ledger;

    fn target(&self) -> &String {
        &self.to
    }

    fn command_id(&self) -> Option<CommandId> {
        self.id
    }
}

impl Decide<Book> for Ledger {
    fn decide(&self, command: Book, _: &DecisionContext) -> Decision<Self> {
        let seen = self.amounts.iter().sum();
        ensure!(seen + command.amounts.iter().sum::<u64>() <= LIMIT, TooMuch { seen });
        emit_all(command.amounts.into_iter().map(|by| Added { by, seen }))
    }
}

pub(super) fn ledger() -> StreamId {
    stream_of::<Ledger>(&"a".to_owned()).unwrap()
}

/// What the snapshots of an [`Odd`] log do with a call.
pub(super) enum Oddity {
    /// They can't be reached.
    Unavailable,
    /// They never answer.
    Hang,
    /// They answer after something else has happened.
    Behind(BoxFuture<'static, ()>),
    /// They hold something that nobody understands; its version, if that can be read.
    Corrupt(Option<u64>),
}

/// A log in memory whose snapshots meet the next oddity in line, or none.
#[derive(Default)]
pub(super) struct Odd {
    pub(super) inner: MemoryStore,
    pub(super) loads: Mutex<VecDeque<Oddity>>,
    pub(super) saves: Mutex<VecDeque<Oddity>>,
    /// Events are not found by their ids: the log can't be reached.
    pub(super) finds_nothing: AtomicBool,
    /// Behind which versions streams were read.
    pub(super) read_behind: Mutex<Vec<u64>>,
    /// Told of each save that has begun.
    pub(super) save_begins: tokio::sync::Notify,
}

impl Odd {
    pub(super) async fn events(&self) -> Vec<RecordedEvent> {
        self.inner.read_stream(&ledger(), StreamVersion::EMPTY, 20_000).await.unwrap()
    }

    pub(super) async fn stored(&self) -> Option<Snapshot> {
        self.stored_at(u64::MAX).await
    }

    pub(super) async fn stored_at(&self, at_most: u64) -> Option<Snapshot> {
        let schema = Ledger::SNAPSHOTS.unwrap().schema();
        let at_most = StreamVersion::new(at_most);
        self.inner.load_snapshot(&ledger(), &schema, at_most).await.unwrap()
    }

    /// Removes the events before a version that a snapshot stands for.
    pub(super) async fn truncate_before(&self, version: u64) {
        let schema = Ledger::SNAPSHOTS.unwrap().schema();
        let (ledger, before) = (ledger(), StreamVersion::new(version));
        let truncation = Truncation::without_archive(&self.inner);
        let gone = truncation.of_stream_before(&ledger, before, &schema).await.unwrap();
        assert_eq!(gone, version - 1);
    }

    pub(super) async fn keep(&self, snapshot: Snapshot) {
        self.inner.save_snapshot(&snapshot, NonZeroUsize::MIN.saturating_add(9)).await.unwrap();
    }

    async fn meet(&self, line: &Mutex<VecDeque<Oddity>>) -> Result<(), SnapshotError> {
        let next = line.lock().unwrap().pop_front();
        let (stream, source) = (ledger(), "injected".into());
        match next {
            None => Ok(()),
            Some(Oddity::Unavailable) => Err(SnapshotError::Unavailable { stream, source }),
            Some(Oddity::Corrupt(version)) => {
                let version = version.map(StreamVersion::new);
                Err(SnapshotError::Corrupt { stream, version, source })
            }
            Some(Oddity::Hang) => std::future::pending().await,
            Some(Oddity::Behind(other)) => {
                other.await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl crate::StoreLayer for Odd {
    fn returns_what_was_appended(&self) -> bool {
        true
    }

    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(self)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.read_behind.lock().unwrap().push(after.get());
        self.inner.read_stream(stream, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        if self.finds_nothing.load(Ordering::SeqCst) {
            return Err(ReadError::Unavailable { source: "injected".into() });
        }
        self.inner.find(ids).await
    }
}

#[async_trait]
impl SnapshotStore for Odd {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        self.meet(&self.loads).await?;
        self.inner.load_snapshot(stream, schema, at_most).await
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        self.save_begins.notify_one();
        self.meet(&self.saves).await?;
        self.inner.save_snapshot(snapshot, keep).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        self.inner.delete_snapshots(stream).await
    }
}
