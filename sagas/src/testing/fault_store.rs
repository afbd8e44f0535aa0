//! A store whose appends meet the run's fault, and which can have lost its checkpoints.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Append, AppendError, AppendSignal, Appended, CheckpointError, CheckpointStore, Claim, EventId,
    EventStore, GlobalPosition, Page, Payload, ReadError, RecordedEvent, Selection, Standing,
    StreamId, StreamVersion,
};

use super::fault::{Faults, Kind};

pub(super) struct FaultStore {
    pub(super) inner: Arc<dyn EventStore>,
    pub(super) faults: Arc<Faults>,
    /// Claims begin at the start of the log, whatever was stored.
    pub(super) forgets: bool,
}

fn injected() -> Box<dyn std::error::Error + Send + Sync> {
    "injected".into()
}

#[async_trait]
impl EventStore for FaultStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let kind = self.faults.at_append();
        match kind {
            Some(Kind::CrashBefore) => return self.faults.die().await,
            Some(Kind::Unavailable) => {
                return Err(AppendError::Unavailable { source: injected() });
            }
            _ => {}
        }
        let appended = self.inner.append(append).await;
        match kind {
            Some(Kind::CrashAfter) => self.faults.die().await,
            Some(Kind::OutcomeUnknown) => Err(AppendError::OutcomeUnknown { source: injected() }),
            _ => appended,
        }
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

    /// The world's store outlives the run.
    async fn close(&self) {}
}

#[async_trait]
impl CheckpointStore for FaultStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let claim = self.inner.claim(consumer).await?;
        if self.forgets {
            return Ok(Claim { position: GlobalPosition::START, state: None, ..claim });
        }
        Ok(claim)
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
