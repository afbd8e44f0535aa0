//! A store whose appends meet the run's fault, and which can have lost its checkpoints.

use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Append, AppendError, Appended, CheckpointError, Claim, EventStore, GlobalPosition,
    SnapshotStore, StoreLayer,
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
impl StoreLayer for FaultStore {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots()
    }

    fn returns_what_was_appended(&self) -> bool {
        self.inner.returns_what_was_appended()
    }

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

    /// The world's store outlives the run.
    async fn close(&self) {}

    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let claim = self.inner.claim(consumer).await?;
        if self.forgets {
            return Ok(Claim { position: GlobalPosition::START, state: None, ..claim });
        }
        Ok(claim)
    }
}
