//! Why a boundary could not be read, appended to, or decided within.

use crate::{
    AppendError, CommandId, DecodeError, GlobalPosition, InvalidTag, ReadError, UnfiledEvent,
};

/// Why a boundary could not be read. Reading changes nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadBoundaryError {
    /// A model asks about something that can't be a tag.
    #[error("a decision model asks about something that can't be a tag")]
    Query(#[source] InvalidTag),
    /// The log could not be read.
    #[error("could not read the events of a boundary")]
    Read(#[source] ReadError),
    /// The log holds an event that matches and that this program doesn't understand.
    #[error("could not understand the event at position {position}")]
    Decode {
        /// Where it stands.
        position: GlobalPosition,
        /// Which event, and why.
        #[source]
        source: DecodeError,
    },
}

impl LoadBoundaryError {
    /// True if the same load may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Read(source) if source.is_retryable())
    }
}

/// Why events were not appended within a boundary, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendWithinError {
    /// An event can't be written or names no stream. Nothing was appended.
    #[error("an event of the decision has no place in the log")]
    Unfiled(#[source] UnfiledEvent),
    /// The store's answer; [`AppendError::ConditionFailed`] is the ordinary one: somebody else came
    /// first, so load and decide again.
    #[error("could not append the events of a decision")]
    Append(#[source] AppendError),
}

impl AppendWithinError {
    /// True if somebody else came first, so that the boundary has to be loaded and decided again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Append(source) if source.is_conflict())
    }

    /// True if the same append, with the same event ids, may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Append(source) if source.is_retryable())
    }
}

/// Why a decision within a boundary had no effect, or may have had one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoundaryError<R: std::error::Error + 'static> {
    /// The decision was "no": an answer of the business, not a failure of the system.
    #[error("the decision was no")]
    Rejected(#[source] R),
    /// Others appended within the boundary between load and append, in every one of the allowed
    /// tries. Nothing was appended.
    #[error("command {command} is contended: somebody else came first {attempts} times in a row")]
    Contended {
        /// The command's id.
        command: CommandId,
        /// How many times it was decided.
        attempts: u32,
    },
    /// The boundary could not be read. Nothing was appended.
    #[error("could not load the boundary")]
    Load(#[source] LoadBoundaryError),
    /// An event that was decided can't be written or names no stream. Nothing was appended.
    #[error("an event of the decision has no place in the log")]
    Unfiled(#[source] UnfiledEvent),
    /// The events could not be appended; after `AppendError::OutcomeUnknown` deciding again under
    /// the same command id settles whether they were.
    #[error("could not append the events of command {command}")]
    Append {
        /// The command's id.
        command: CommandId,
        /// What went wrong.
        #[source]
        source: AppendError,
    },
}

impl<R: std::error::Error + 'static> BoundaryError<R> {
    /// True if the same decision, under the same command id, may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. } => true,
            Self::Load(source) => source.is_retryable(),
            Self::Append { source, .. } => source.is_retryable(),
            Self::Rejected(_) | Self::Unfiled(_) => false,
        }
    }

    /// The business's own "no", if that is what it was.
    #[must_use]
    pub fn rejection(&self) -> Option<&R> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }
}
