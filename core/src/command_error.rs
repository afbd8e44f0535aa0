//! Why a command had no effect, or may have had one.

use crate::{
    AppendError, CommandId, DecodeError, EncodeError, EventId, GlobalPosition, InvalidStreamId,
    ReadError, StreamId,
};

/// Why a command had no effect, or may have had one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError<R: std::error::Error + 'static> {
    /// The aggregate said no: an answer of the business, not a failure of the system.
    #[error("the command was rejected")]
    Rejected(#[source] R),
    /// Others changed the aggregate between load and append, in every one of the allowed tries.
    #[error("stream {stream} is contended: somebody else came first {attempts} times in a row")]
    Contended {
        /// The aggregate's stream.
        stream: StreamId,
        /// How many times the command was decided.
        attempts: u32,
    },
    /// The command's id was used before, for something on another stream. Nothing was appended, and
    /// nothing ever will be under this id.
    #[error(
        "command id {command} was used before, and not for a command on stream {stream}: give this \
         command an id of its own"
    )]
    IdTaken {
        /// The id.
        command: CommandId,
        /// The stream of the aggregate that this command is for.
        stream: StreamId,
        /// The event that stands in the log under an id of this command's.
        event: EventId,
    },
    /// The target's id can't name a stream.
    #[error("the command's target can't name a stream")]
    Target(#[source] InvalidStreamId),
    /// The aggregate's history could not be read.
    #[error("could not read stream {stream}")]
    Load {
        /// The aggregate's stream.
        stream: StreamId,
        /// What went wrong.
        #[source]
        source: ReadError,
    },
    /// The aggregate's history holds an event that this program doesn't understand.
    #[error("could not understand stream {stream} at position {position}")]
    Decode {
        /// The aggregate's stream.
        stream: StreamId,
        /// Where the event stands in the log.
        position: GlobalPosition,
        /// Which event, and why.
        #[source]
        source: DecodeError,
    },
    /// An event that the aggregate emitted can't be written.
    #[error("could not write an event of stream {stream}")]
    Encode {
        /// The aggregate's stream.
        stream: StreamId,
        /// Which event, and why.
        #[source]
        source: EncodeError,
    },
    /// The events could not be appended; after `AppendError::OutcomeUnknown` executing `command`
    /// again under the same id settles whether they were.
    #[error("could not append the events of command {command}")]
    Append {
        /// The command's id.
        command: CommandId,
        /// What went wrong.
        #[source]
        source: AppendError,
    },
}

impl<R: std::error::Error + 'static> CommandError<R> {
    /// True if the same command, under the same id, may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Contended { .. } => true,
            Self::Load { source, .. } => source.is_retryable(),
            Self::Append { source, .. } => source.is_retryable(),
            _ => false,
        }
    }

    /// The aggregate's own "no", if that is what it was.
    #[must_use]
    pub fn rejection(&self) -> Option<&R> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }
}
