//! Snapshots on top of others: what is personal in a state is sealed like in an event.

use std::error::Error;
use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use super::Vault;
use super::context::Context;
use crate::{
    EventId, EventStore, Snapshot, SnapshotError, SnapshotStore, StateSchema, StreamId,
    StreamVersion,
};

/// The snapshots of a log, sealed below.
pub(super) struct SealedSnapshots {
    pub(super) log: Arc<dyn EventStore>,
    pub(super) vault: Vault,
}

impl SealedSnapshots {
    fn below(&self, stream: &StreamId) -> Result<&dyn SnapshotStore, SnapshotError> {
        let gone = || refused(stream, "the log below keeps no snapshots");
        self.log.snapshots().ok_or_else(gone)
    }

    fn context(&self, stream: &StreamId, last_event: EventId) -> Context {
        Context::snapshot(self.log.tenant(), stream, last_event)
    }
}

#[async_trait]
impl SnapshotStore for SealedSnapshots {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let found = self.below(stream)?.load_snapshot(stream, schema, at_most).await?;
        let Some(mut snapshot) = found else {
            return Ok(None);
        };
        let context = self.context(&snapshot.stream, snapshot.last_event);
        let opened = self.vault.open_state(context, "a snapshot", snapshot.data.clone()).await;
        snapshot.data = opened.map_err(|error| match error.is_retryable() {
            true => unavailable(stream, error),
            false => SnapshotError::Corrupt {
                stream: stream.clone(),
                version: Some(snapshot.version),
                source: Box::new(error),
            },
        })?;
        Ok(Some(snapshot))
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        let stream = &snapshot.stream;
        let below = self.below(stream)?;
        let context = self.context(stream, snapshot.last_event);
        let sealed = self.vault.seal_state(context, &snapshot.data).await;
        let sealed = sealed.map_err(|error| match error.is_retryable() {
            true => unavailable(stream, error),
            false => refused(stream, error),
        })?;
        match sealed {
            None => below.save_snapshot(snapshot, keep).await,
            Some(data) => below.save_snapshot(&Snapshot { data, ..snapshot.clone() }, keep).await,
        }
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        self.below(stream)?.delete_snapshots(stream).await
    }
}

fn unavailable(stream: &StreamId, error: impl Error + Send + Sync + 'static) -> SnapshotError {
    SnapshotError::Unavailable { stream: stream.clone(), source: Box::new(error) }
}

fn refused(stream: &StreamId, source: impl Into<Box<dyn Error + Send + Sync>>) -> SnapshotError {
    SnapshotError::Refused { stream: stream.clone(), source: source.into() }
}
