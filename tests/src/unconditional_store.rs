//! A store that reads the condition of an append and forgets it.
//!
//! It lives here to be caught: a check of conditions that this store passes checks nothing. All
//! else it leaves to the store inside.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{
    Append, AppendError, AppendSignal, Appended, CheckpointError, CheckpointStore, Claim, EventId,
    EventStore, GlobalPosition, MemoryStore, Page, Payload, ReadError, RecordedEvent, Selection,
    Standing, StreamId, StreamVersion,
};

use crate::conformance::log::LogFactory;

/// A log in memory whose every handle forgets conditions.
#[derive(Default)]
pub struct UnconditionalLog {
    store: Arc<MemoryStore>,
}

#[async_trait]
impl LogFactory for UnconditionalLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        Arc::new(UnconditionalStore::new(self.store.clone()))
    }
}

/// Appends whether the condition holds or not.
pub struct UnconditionalStore<S> {
    inner: Arc<S>,
}

impl<S: EventStore> UnconditionalStore<S> {
    /// Forgets the conditions of what is appended to `inner`.
    #[must_use]
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<S: EventStore> EventStore for UnconditionalStore<S> {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        // As far away as a server would be: others get in between.
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let mut parts = append.streams().iter().cloned();
        let Some(first) = parts.next() else {
            return self.inner.append(append).await;
        };
        let first = Append::to(first.stream, first.expected, first.events);
        let unconditional = parts
            .fold(first, |append, part| append.and_to(part.stream, part.expected, part.events));
        self.inner.append(unconditional).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(stream, after, limit).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.inner.read_all(selection, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.find(ids).await
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        self.inner.high_water_mark().await
    }

    fn signal(&self) -> AppendSignal {
        self.inner.signal()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl<S: EventStore> CheckpointStore for UnconditionalStore<S> {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        self.inner.claim(consumer).await
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        self.inner.advance(claim, position, state).await
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        self.inner.standing(consumer).await
    }
}
