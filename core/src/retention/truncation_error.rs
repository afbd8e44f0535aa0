//! Why events were not removed.

use super::{ArchiveScope, RetentionError};
use crate::{GlobalPosition, ReadError, SnapshotError, StreamId, StreamVersion};

/// Why events were not removed. But for [`Store`](Self::Store) and [`Read`](Self::Read), nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TruncateError {
    /// Without a snapshot at or above the first version that stays, nobody could load the stream.
    #[error(
        "stream {stream} can't be truncated before version {before} behind a snapshot at version \
         {snapshot}; take a snapshot at version {before} or later first"
    )]
    NoSnapshot {
        /// The stream.
        stream: StreamId,
        /// The first version that was to stay.
        before: StreamVersion,
        /// The version of the newest snapshot that the log bears out; 0 if there is none.
        snapshot: StreamVersion,
    },
    /// The newest event of a stream stays: its version is where the stream goes on.
    #[error("stream {stream} stands at version {head}: version {to} and what is older can't go")]
    StreamHeadStays {
        /// The stream.
        stream: StreamId,
        /// The last version that was to go.
        to: StreamVersion,
        /// The stream's version.
        head: StreamVersion,
    },
    /// The newest event of the log stays, and nothing above the high-water mark is final.
    #[error("the log is final up to position {mark}: position {to} and what is older can't go")]
    LogHeadStays {
        /// The last position that was to go.
        to: GlobalPosition,
        /// The high-water mark.
        mark: GlobalPosition,
    },
    /// What was to stay of the stream isn't final yet. In a moment it will be.
    #[error("no event of stream {stream} behind position {newest} is final yet; try again")]
    NotFinal {
        /// The stream.
        stream: StreamId,
        /// The position of the newest event that was to go.
        newest: GlobalPosition,
    },
    /// A consumer hasn't read what was to go.
    #[error(
        "consumer {consumer:?} stands at position {position}, before {to}: it would miss events; \
         let it catch up, or truncate even if they are unread"
    )]
    Unread {
        /// The consumer that stands furthest back.
        consumer: String,
        /// Where it stands.
        position: GlobalPosition,
        /// The position of the newest event that was to go.
        to: GlobalPosition,
    },
    /// The archive doesn't hold what was to go.
    #[error("the archive holds {archived}, but {wanted} were to go; archive them first")]
    NotArchived {
        /// What was to go.
        wanted: ArchiveScope,
        /// What the archive holds.
        archived: ArchiveScope,
    },
    /// The archive holds the right numbers, but a file of it holds other events than the log, or not
    /// all of them: it is of another log, of a part of this one (a tenant's), or of what this one held
    /// before it was restored from a backup. Archiving again names the file.
    #[error("the archive of {archived} is of another log: its events are not the ones in this log")]
    ForeignArchive {
        /// What the archive holds.
        archived: ArchiveScope,
    },
    /// Only what ended may be removed to the last event.
    #[error("stream {stream} is not tombstoned; tombstone it before its events are removed")]
    NotTombstoned {
        /// The stream.
        stream: StreamId,
    },
    /// The log could not be looked at. What was marked stays marked; call again.
    #[error("the log could not be looked at before removing")]
    Read(#[source] ReadError),
    /// The snapshot could not be looked at.
    #[error("the stream's snapshot could not be looked at before removing")]
    Snapshot(#[source] SnapshotError),
    /// The store could not mark or remove. What was removed stays so; call again.
    #[error("the removal stopped on its way")]
    Store(#[source] RetentionError),
}

impl TruncateError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unread { .. } | Self::NotFinal { .. } => true,
            Self::Read(error) => error.is_retryable(),
            Self::Snapshot(error) => error.is_retryable(),
            Self::Store(error) => error.is_retryable(),
            _ => false,
        }
    }
}
