//! Why a read model could not be claimed or moved.

use std::error::Error;

use highwater_core::{EventType, GlobalPosition, RecordedEvent, StreamId};

use crate::ProjectError;

/// Why a read model could not be claimed or moved. Unless a variant says otherwise, nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadModelError {
    /// Somebody claimed the read model later: the work is theirs now.
    #[error("read model {name:?} was taken over: epoch {epoch} is over")]
    Fenced {
        /// The read model.
        name: String,
        /// The epoch that is over.
        epoch: u64,
    },
    /// The checkpoint isn't where this runner left it: it was set back, or restored from a backup.
    #[error(
        "the checkpoint of read model {name:?} should stand at {expected}, it stands at {found}"
    )]
    Moved {
        /// The read model.
        name: String,
        /// Where this runner left it.
        expected: GlobalPosition,
        /// Where it stands.
        found: GlobalPosition,
    },
    /// The read model shows more than the log holds: the log was restored to an earlier point, or is
    /// another one. What it would append next, the read model would take for projected.
    #[error(
        "read model {name:?} stands at {position}, ahead of its log, which ends at {mark}: restore it \
         to an earlier point as well, or rebuild it"
    )]
    AheadOfLog {
        /// The read model.
        name: String,
        /// Where it stands.
        position: GlobalPosition,
        /// The log's high-water mark.
        mark: GlobalPosition,
    },
    /// One event can't be projected. It is not skipped, and neither is anything behind it.
    #[error("could not project {event_type} at position {position} of stream {stream}")]
    Event {
        /// The event's stream.
        stream: StreamId,
        /// Its place in the log.
        position: GlobalPosition,
        /// Its type.
        event_type: EventType,
        /// What went wrong.
        #[source]
        source: ProjectError,
    },
    /// The read model's own `prepare` failed.
    #[error("could not prepare read model {name:?}")]
    Prepare {
        /// The read model.
        name: String,
        /// What went wrong.
        #[source]
        source: ProjectError,
    },
    /// The database can't be reached. If that was noticed while a page was being committed, the
    /// page may have been applied; the next claim tells.
    #[error("the database of read model {name:?} could not do it now")]
    Unavailable {
        /// The read model.
        name: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database refused in a way that trying again won't change.
    #[error("the database of read model {name:?} refused")]
    Refused {
        /// The read model.
        name: String,
        /// What it says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ReadModelError {
    /// True if claiming the read model and going on from there may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fenced { .. } | Self::Moved { .. } | Self::Unavailable { .. } => true,
            Self::Event { source, .. } | Self::Prepare { source, .. } => source.is_retryable(),
            Self::Refused { .. } | Self::AheadOfLog { .. } => false,
        }
    }

    /// `recorded` couldn't be projected.
    #[must_use]
    pub fn at(recorded: &RecordedEvent, source: ProjectError) -> Self {
        Self::Event {
            stream: recorded.stream.clone(),
            position: recorded.position,
            event_type: recorded.event_type.clone(),
            source,
        }
    }

    /// The database of read model `name` can't be reached.
    pub fn unavailable(name: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { name: name.to_owned(), source: source.into() }
    }

    /// The database of read model `name` refused for good.
    pub fn refused(name: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused { name: name.to_owned(), source: source.into() }
    }

    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn of_sql(name: &str, error: sqlx::Error) -> Self {
        match crate::sql::may_pass(&error) {
            true => Self::unavailable(name, error),
            false => Self::refused(name, error),
        }
    }
}
