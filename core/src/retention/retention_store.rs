//! What a store must do so that events can be removed from it.

use std::error::Error;

use async_trait::async_trait;

use crate::{
    Append, AppendError, EventStore, ExpectedVersion, GlobalPosition, NewEvent, ReadError,
    StreamId, StreamVersion, TOMBSTONE_TYPE,
};

/// What is left of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamRetention {
    /// The version of its last event, whether that is there still or not.
    pub head: StreamVersion,
    /// Everything up to and including this version may be gone.
    pub removed_to: StreamVersion,
    /// True if it may never be appended to again.
    pub is_tombstoned: bool,
}

/// How far a consumer of the log has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerPlace {
    /// The consumer.
    pub consumer: String,
    /// It has taken everything up to and including this position.
    pub position: GlobalPosition,
}

/// Why a store could not mark or remove. What was marked or removed before stays so; the same call
/// again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// The store can't be reached, or refuses.
    #[error("the event store could not {doing}; the same call again goes on where it stopped")]
    Unavailable {
        /// What it was asked to do.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RetentionError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Why a stream could not be tombstoned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TombstoneError {
    /// There is nothing to end: the stream never had an event.
    #[error("stream {stream} has no event; there is nothing to end")]
    NoStream {
        /// The stream.
        stream: StreamId,
    },
    /// The store takes no tombstone for this stream: it is closed, or its database refuses the event.
    #[error("the event store refuses to tombstone stream {stream}")]
    Refused {
        /// The stream.
        stream: StreamId,
        /// What it says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store can't be reached, or others kept appending to the stream. Try again: a tombstone
    /// that was set meanwhile is recognised.
    #[error("stream {stream} could not be tombstoned")]
    Unavailable {
        /// The stream.
        stream: StreamId,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl TombstoneError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A store that events can be removed from.
///
/// Most callers want [`Truncation`](super::Truncation), which asks the questions first: is there an
/// archive, a snapshot, has every consumer come past? This trait asks none. It marks and removes.
///
/// ```text
///   1   2   3   4   5   6   7
/// ──□───□───□───■───■───■───■──▶   □ may be gone   ■ there
///           │
///           └ removed_to: reading behind 3 or later works, behind 2 or less is refused
/// ```
///
/// # Contract
/// 1. A mark MUST be durable before an event behind it is removed, and MUST never fall.
/// 2. `read_stream` behind a version below the stream's mark, and `read_all` behind a position below
///    the log's, MUST fail with [`ReadError::StreamTruncated`] and [`ReadError::LogTruncated`] from
///    the mark on, whatever is there still. So MUST `read_all` of one
///    stream ([`Selection::Stream`](crate::Selection::Stream)) behind a position before its mark.
///    None of them may answer with a part.
///    Any other `read_all`, and any append's condition, sees what there is: events of a stream that
///    was truncated are left out of it without a word.
/// 3. Versions MUST go on behind the last version that the stream ever had.
/// 4. `remove_*` MUST remove only what is marked, in transactions of at most `limit` events, and
///    MUST leave the newest event of the log where it is.
/// 5. Positions MUST never be given twice, and the high-water mark MUST NOT fall.
/// 6. An event of type [`TOMBSTONE_TYPE`] ends its stream: every append behind it MUST fail with
///    [`AppendError::StreamTombstoned`], whatever it expects, also when both happen at once, and also
///    once the tombstone itself was removed with the log. An append that the log holds already MUST
///    still be recognised (`was_repeated`).
/// 7. `read_all` MUST show the tombstone, so that consumers learn of the end; `read_stream` MUST NOT:
///    it is no event of the aggregate.
#[async_trait]
pub trait Retention: EventStore {
    /// Everything up to and including this position may be gone from the log.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn removed_to(&self) -> Result<GlobalPosition, ReadError>;

    /// What is left of `stream`; all zero if it never had an event.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn stream_retention(&self, stream: &StreamId) -> Result<StreamRetention, ReadError>;

    /// The consumers whose checkpoints the store holds. Read models keep theirs beside their own
    /// tables: the store doesn't know them.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError>;

    /// Raises the stream's mark to `to`, which the caller keeps below the stream's head.
    ///
    /// # Errors
    /// [`RetentionError`].
    ///
    /// # Cancel safety
    /// Marked or not; call again.
    async fn mark_stream(&self, stream: &StreamId, to: StreamVersion)
    -> Result<(), RetentionError>;

    /// Removes up to `limit` events at or below the stream's mark, the oldest first; says how many
    /// went. 0: there are none left.
    ///
    /// # Errors
    /// [`RetentionError`].
    ///
    /// # Cancel safety
    /// Removed or not; call again.
    async fn remove_from_stream(
        &self,
        stream: &StreamId,
        limit: usize,
    ) -> Result<u64, RetentionError>;

    /// Raises the log's mark to `to`, which the caller keeps below the high-water mark.
    ///
    /// # Errors
    /// [`RetentionError`].
    ///
    /// # Cancel safety
    /// Marked or not; call again.
    async fn mark_log(&self, to: GlobalPosition) -> Result<(), RetentionError>;

    /// Removes events at or below the log's mark, the oldest first, and says up to which position
    /// and how many; `None` if there are none left. Row by row it removes up to `limit` of them; what
    /// a store can drop as a whole, it drops as a whole.
    ///
    /// # Errors
    /// [`RetentionError`].
    ///
    /// # Cancel safety
    /// Removed or not; call again.
    async fn remove_from_log(
        &self,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, RetentionError>;

    /// Ends the stream: its last event is the tombstone, whose version is returned. Again, it returns
    /// the same version.
    ///
    /// # Errors
    /// [`TombstoneError`].
    ///
    /// # Cancel safety
    /// Tombstoned or not; call again.
    async fn tombstone(&self, stream: &StreamId) -> Result<StreamVersion, TombstoneError> {
        let refused = |source| TombstoneError::Refused { stream: stream.clone(), source };
        let unavailable = |source| TombstoneError::Unavailable { stream: stream.clone(), source };
        let event = NewEvent::new(TOMBSTONE_TYPE, &()).map_err(|error| refused(error.into()))?;
        let expected = ExpectedVersion::StreamExists;
        match self.append(Append::to(stream.clone(), expected, vec![event])).await {
            Ok(appended) => Ok(appended.heads[0].version),
            Err(AppendError::StreamTombstoned { .. }) => {
                let left = self.stream_retention(stream).await;
                Ok(left.map_err(|error| unavailable(error.into()))?.head)
            }
            Err(AppendError::VersionConflict { .. }) => {
                Err(TombstoneError::NoStream { stream: stream.clone() })
            }
            Err(error) if error.is_retryable() => Err(unavailable(error.into())),
            Err(error) => Err(refused(error.into())),
        }
    }
}
