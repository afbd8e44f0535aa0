//! Why an append did not happen, or may not have.

use std::error::Error;

use crate::{EventId, ExpectedVersion, InvalidAppend, StreamId, StreamVersion};

/// Why an append did not happen, or may not have.
///
/// [`VersionConflict`](Self::VersionConflict) and [`ConditionFailed`](Self::ConditionFailed) are
/// ordinary outcomes: somebody else came first, so decide again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream isn't where the append expected it. Nothing was appended.
    #[error("stream {stream} stands at version {actual}, the append expected {expected}")]
    VersionConflict {
        /// The stream.
        stream: StreamId,
        /// What the append expected.
        expected: ExpectedVersion,
        /// Where the stream stood when the store looked.
        actual: StreamVersion,
    },
    /// An event that matches the append's condition stands behind the position that the decision
    /// had read to. Nothing was appended.
    #[error("an event that the decision depends on was appended since it was made")]
    ConditionFailed,
    /// An event id is in the log already, and not as a part of this append. Nothing was appended.
    #[error("event id {id} is in the log already, under another append")]
    EventIdTaken {
        /// The id.
        id: EventId,
    },
    /// The stream has ended: it may never be appended to again. Nothing was appended.
    #[error("stream {stream} is tombstoned and takes no more events")]
    StreamTombstoned {
        /// The stream.
        stream: StreamId,
    },
    /// No store may accept this append.
    #[error("the append is not valid")]
    Invalid(#[from] InvalidAppend),
    /// The store refuses the data itself. Nothing was appended, and a retry would end the same way.
    #[error("the store refuses the append")]
    Refused {
        /// What the store says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store can't be reached, or is overloaded. Nothing was appended.
    #[error("the event store is not available")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection was lost while the store committed: the events may be in the log or not.
    /// Appending the same event ids again settles it, and never doubles them.
    #[error("the event store was lost during the commit; append the same event ids again to know")]
    OutcomeUnknown {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store is shutting down and takes no more appends. Nothing was appended.
    #[error("the event store is shutting down")]
    Closed,
}

impl AppendError {
    /// True if the same append may succeed later. Conflicts don't count: they need a new decision.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::OutcomeUnknown { .. })
    }

    /// True if somebody else came first, so that the decision has to be made again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::VersionConflict { .. } | Self::ConditionFailed)
    }
}
