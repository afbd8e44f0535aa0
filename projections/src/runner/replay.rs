//! A read model as it was: the log replayed up to a position, into a sandbox.

use std::sync::Arc;

use highwater_core::{EventStore, GlobalPosition, ReadError};

use super::{ProjectionRunner, not_ahead};
use crate::ReadModelError;

/// Why a replay ended before its end. What was applied until then is whole, and a new call goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The read model has come further already, and can't go back. Nothing was applied.
    #[error(
        "read model {name:?} stands at {position}, behind the replay's end {end}: replay into a \
         database, a schema or a file of its own"
    )]
    Beyond {
        /// The read model.
        name: String,
        /// Where it stands.
        position: GlobalPosition,
        /// Where the replay was to end.
        end: GlobalPosition,
    },
    /// The log could not be read.
    #[error("could not read the log for read model {name:?}")]
    Log {
        /// The read model.
        name: String,
        /// What went wrong.
        #[source]
        source: ReadError,
    },
    /// The read model could not be written.
    #[error("could not replay into read model {name:?}")]
    ReadModel {
        /// The read model.
        name: String,
        /// What went wrong.
        #[source]
        source: ReadModelError,
    },
}

impl ReplayError {
    /// True if the same replay may come further later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Beyond { .. } => false,
            Self::Log { source, .. } => source.is_retryable(),
            Self::ReadModel { source, .. } => source.is_retryable(),
        }
    }
}

impl ProjectionRunner {
    /// Brings the read model to `end` and no further: what it showed when the log stood there.
    ///
    /// Give it a sandbox, that is a database, a schema or a file that nobody else uses: the projection
    /// and its name are the live one's, and so are its tables. Returns where the read model stands
    /// now, which is `end`, or the high-water mark if the log hasn't come that far. A later call with
    /// a later end goes on from there.
    ///
    /// For a moment, ask [`position_at`](highwater_core::position_at) first.
    ///
    /// # Errors
    /// [`ReplayError`]; to a read model that is beyond `end` nothing is applied.
    ///
    /// # Cancel safety
    /// Pages that were applied stay; call again to go on.
    pub async fn run_until(
        &self,
        store: &Arc<dyn EventStore>,
        end: GlobalPosition,
    ) -> Result<GlobalPosition, ReplayError> {
        let name = || self.read_model.name().to_owned();
        let of_log = |source| ReplayError::Log { name: name(), source };
        let of_model = |source| ReplayError::ReadModel { name: name(), source };
        let beyond = |position| ReplayError::Beyond { name: name(), position, end };
        // Looked at before it is claimed, so that a live read model given by mistake stays its
        // runner's. A fresh sandbox has nothing to look at: its tables come with the claim, which
        // also meets whatever else may be wrong.
        if let Ok(standing) = self.read_model.standing().await
            && standing.position > end
        {
            return Err(beyond(standing.position));
        }
        let selection = self.read_model.selection();
        let mut claim = self.read_model.claim().await.map_err(of_model)?;
        if claim.position > end {
            return Err(beyond(claim.position));
        }
        let mark = store.high_water_mark().await.map_err(of_log)?;
        not_ahead(&claim, mark).map_err(of_model)?;
        let end = end.min(mark);
        while claim.position < end {
            let page = store.read_all(&selection, claim.position, self.page_size).await;
            let mut page = page.map_err(of_log)?;
            page.events.retain(|event| event.position <= end);
            page.read_to = page.read_to.min(end);
            self.read_model.apply(&claim, &page).await.map_err(of_model)?;
            claim.position = page.read_to;
        }
        Ok(claim.position)
    }
}
