//! What can be wrong with a definition, and with what is asked of a saga.

use highwater_core::{AppendError, InvalidStreamId, ReadError};

/// Why a definition can't be a saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSaga {
    /// The name can't be a part of a stream's name.
    #[error(
        "saga name {name:?} must start with an ASCII letter, hold only ASCII letters, digits, '-' \
         and '.', and have at most 59 characters"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Two steps can't be told apart: their names are what running sagas know them by.
    #[error("saga {saga:?} has two steps called {step:?}")]
    StepTwice {
        /// The saga's name.
        saga: String,
        /// The steps' name.
        step: String,
    },
}

impl InvalidSaga {
    /// Never: the definition has to be changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}

/// Why a saga could not be shown, resumed or compensated. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SagaControlError {
    /// There is no such saga.
    #[error("saga {saga:?} has no instance with the key {key:?}")]
    NotFound {
        /// The saga's name.
        saga: String,
        /// The key that was asked for.
        key: String,
    },
    /// The key can't be a saga's.
    #[error("the key can't be that of a saga")]
    Key(#[source] InvalidStreamId),
    /// It isn't in a state in which this can be done.
    #[error("saga {key:?} can't be {wanted}: it is {status}")]
    NotPossible {
        /// The saga's key.
        key: String,
        /// What was asked for.
        wanted: &'static str,
        /// How it is.
        status: String,
    },
    /// The saga went on while it was asked; ask again.
    #[error("saga {key:?} is busy")]
    Busy {
        /// The saga's key.
        key: String,
    },
    /// The saga's history could not be read.
    #[error("could not read saga {key:?}")]
    Read {
        /// The saga's key.
        key: String,
        /// What went wrong.
        #[source]
        source: ReadError,
    },
    /// The saga's history was written by a program that knows more than this one.
    #[error("could not understand the history of saga {key:?}")]
    Decode {
        /// The saga's key.
        key: String,
        /// Which event, and why.
        #[source]
        source: highwater_core::DecodeError,
    },
    /// The request could not be recorded, or may have been (`AppendError::OutcomeUnknown`).
    #[error("could not record the request to saga {key:?}")]
    Append {
        /// The saga's key.
        key: String,
        /// What went wrong.
        #[source]
        source: AppendError,
    },
}

impl SagaControlError {
    /// True if the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } => true,
            Self::Read { source, .. } => source.is_retryable(),
            Self::Append { source, .. } => source.is_retryable(),
            _ => false,
        }
    }
}

/// Why one saga could not be driven on just now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriveError {
    #[error("could not read {stream}")]
    Read {
        stream: String,
        #[source]
        source: ReadError,
    },
    #[error("could not understand {stream}")]
    Decode {
        stream: String,
        #[source]
        source: highwater_core::DecodeError,
    },
    #[error("could not record a transition of {stream}")]
    Append {
        stream: String,
        #[source]
        source: AppendError,
    },
    #[error("could not write a transition of {stream}")]
    Encode {
        stream: String,
        #[source]
        source: highwater_core::EncodeError,
    },
    /// Not even that the saga needs help can be recorded.
    #[error("the store refuses to record that {stream} is paused ({reason}): {why}")]
    Refused { stream: String, reason: String, why: String },
}

impl DriveError {
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.is_retryable(),
            Self::Append { source, .. } => source.is_retryable(),
            Self::Decode { .. } | Self::Encode { .. } | Self::Refused { .. } => false,
        }
    }
}
