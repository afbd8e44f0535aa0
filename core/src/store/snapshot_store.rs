//! Snapshots: states of aggregates beside the log, so that a long history needn't be read again.
//!
//! A snapshot is a copy of what the log says. Nothing is lost with it, and nothing rests on it: the
//! command handler checks each against the log and reads an older one or the whole stream if one
//! doesn't fit. The exception is a stream whose beginning was removed: it rests on its snapshots.

use std::error::Error;
use std::num::NonZeroUsize;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{EventId, GlobalPosition, Payload, StateSchema, StreamId, StreamVersion};

/// The state that a stream's first events had made, up to and including `version`.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// Which state `data` is, and in which shape.
    pub schema: StateSchema,
    /// The version of the last event in it.
    pub version: StreamVersion,
    /// The position of that event.
    pub position: GlobalPosition,
    /// The id of that event. A log that was restored from a backup may give version and position
    /// once more, to another event; an id stands for one event for ever. So it is by the id that a
    /// snapshot is known to belong to this log.
    pub last_event: EventId,
    /// The state.
    pub data: Payload,
    /// When it was taken. Tells people; decides nothing.
    pub taken_at: Timestamp,
}

impl Snapshot {
    /// Checks what no store may keep.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`]: the state holds personal data that isn't sealed.
    pub fn validate(&self) -> Result<(), SnapshotError> {
        self.data.check_sealed().map_err(|problem| SnapshotError::Refused {
            stream: self.stream.clone(),
            source: Box::new(problem),
        })
    }
}

/// Why a snapshot could not be loaded, saved or deleted. Commands don't fail by it, except those to a
/// stream whose beginning was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The store can't be reached, or is overloaded.
    #[error("the snapshots of stream {stream} can't be reached")]
    Unavailable {
        /// The stream.
        stream: StreamId,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store can't keep this snapshot; another try would end the same way.
    #[error("a snapshot of stream {stream} can't be kept")]
    Refused {
        /// The stream.
        stream: StreamId,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What is stored isn't a snapshot that this program understands. An older one may be: load again,
    /// below its version.
    #[error("a stored snapshot of stream {stream} can't be understood")]
    Corrupt {
        /// The stream.
        stream: StreamId,
        /// The snapshot's version, if that much can be read.
        version: Option<StreamVersion>,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SnapshotError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Keeps snapshots.
///
/// # Contract
/// 1. `load_snapshot` MUST return the snapshot of that stream and exactly that schema with the highest
///    version at or below `at_most`, as it was saved, or `None`.
/// 2. `save_snapshot` MUST NOT replace a newer snapshot by an older one: whatever is saved in whatever
///    order, the highest version of a schema stays, also when several save at the same moment.
/// 3. A snapshot of the version and schema of a stored one MUST replace that one.
/// 4. After a save, of this stream and schema no more than the `keep` with the highest versions MUST
///    remain (and at most one more for each save that runs at the same moment, until the next save),
///    and none of a lower version of the schema of that name.
/// 5. `delete_snapshots` MUST delete all snapshots of the stream, whatever their schema, and none of
///    another stream.
/// 6. A stored snapshot that can't be understood MUST be [`SnapshotError::Corrupt`], with its version if
///    that can be read, and MUST NOT keep those below it from being loaded.
/// 7. A snapshot may be lost at any time, but never half of one: each is whole or absent. (A
///    stream whose beginning was removed is lost with its last one: keep them as safe as the log then.)
/// 8. A snapshot that [`Snapshot::validate`] refuses MUST NOT be saved.
///
/// The conformance suite checks each.
#[async_trait]
pub trait SnapshotStore: Send + Sync {
    /// The newest snapshot of `stream` with this schema at or below a version.
    ///
    /// # Errors
    /// [`SnapshotError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError>;

    /// Keeps a snapshot, and forgets those that it makes superfluous.
    ///
    /// # Errors
    /// [`SnapshotError`].
    ///
    /// # Cancel safety
    /// The snapshot is kept or not; save it again, or don't.
    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError>;

    /// Forgets all snapshots of a stream. For people: the command handler never does. A stream whose
    /// beginning was removed can't be loaded without them any more.
    ///
    /// # Errors
    /// [`SnapshotError`].
    ///
    /// # Cancel safety
    /// They are deleted or not; delete them again.
    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError>;
}
