//! The log: what every store must do.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;

use super::{AppendSignal, CheckpointStore, SnapshotStore};
use crate::{
    Append, AppendError, Appended, BareEvent, EventId, GlobalPosition, LogEvent, RecordedEvent,
    Selection, StreamId, StreamVersion, TenantId,
};

/// Why a read failed. Reads change nothing, so every one may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The store can't be reached, or is overloaded.
    #[error("the event store is not available")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store may not answer this question: it is about what isn't this store's to show. Another
    /// try would end the same way.
    #[error("the event store refuses the read")]
    Refused {
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What is stored isn't what this program understands.
    #[error("the log holds what this program can't read, at position {position}")]
    Corrupt {
        /// Where.
        position: GlobalPosition,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Events of the stream that were asked for may be gone: a fold of the rest would be wrong. Load
    /// from a snapshot above the mark, or from the archive.
    #[error(
        "stream {stream} was truncated up to version {removed_to}, it can't be read behind {after}"
    )]
    StreamTruncated {
        /// The stream.
        stream: StreamId,
        /// The version that was read behind; 0 if a position was, by [`Selection::Stream`].
        after: StreamVersion,
        /// Everything up to and including this version may be gone.
        removed_to: StreamVersion,
    },
    /// Events that were asked for may be gone from the log. Read them from the archive.
    #[error("the log was truncated up to position {removed_to}, it can't be read behind {after}")]
    LogTruncated {
        /// The position that was read behind.
        after: GlobalPosition,
        /// Everything up to and including this position may be gone.
        removed_to: GlobalPosition,
    },
}

impl ReadError {
    /// True if the same read may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// A piece of the log, in order of position.
#[derive(Clone, Debug)]
pub struct Page<E = RecordedEvent> {
    /// The events that were asked for.
    pub events: Vec<E>,
    /// How far the log was read, whether its events were asked for or not: nothing at or before
    /// this position will ever appear that this page doesn't show. It is never behind the position
    /// that was read after, and it is where the next read goes on.
    pub read_to: GlobalPosition,
    /// True if the page ended because the log did, not because it was full.
    pub is_last: bool,
}

impl<E: LogEvent> Page<E> {
    /// A page of what a store found behind `after`, up to and including `head`, the high-water
    /// mark of the read: a page with `limit` events ends at its last event, any other at the head.
    #[must_use]
    pub fn of(events: Vec<E>, limit: usize, after: GlobalPosition, head: GlobalPosition) -> Self {
        let is_last = events.len() < limit;
        let read_to = match events.last() {
            _ if is_last => head.max(after),
            Some(last) => last.position(),
            None => after,
        };
        Self { events, read_to, is_last }
    }

    /// The same page with each event as another.
    #[must_use]
    pub fn map<T>(self, change: impl FnMut(E) -> T) -> Page<T> {
        let events = self.events.into_iter().map(change).collect();
        Page { events, read_to: self.read_to, is_last: self.is_last }
    }
}

impl<E> Default for Page<E> {
    fn default() -> Self {
        Self { events: Vec::new(), read_to: GlobalPosition::default(), is_last: false }
    }
}

/// Gives events that were read whole to who wants them bare; says how many there were.
pub(super) fn visit_bare(
    whole: Vec<RecordedEvent>,
    visit: &mut (dyn FnMut(BareEvent) + Send),
) -> usize {
    let read = whole.len();
    whole.into_iter().map(BareEvent::from).for_each(visit);
    read
}

/// A log of events in one order.
///
/// ```text
///   1   2   3   5   6   7   8
/// ──■───■───■───■───■───□───□──▶   ■ committed   □ in flight   4 was given up: a gap for ever
///                   │
///                   └ high-water mark: nothing at or before it will ever change
/// ```
///
/// # Contract
/// 1. Order: once a reader has seen position p, no event with a position ≤ p appears later. Reads
///    therefore MUST stop at the high-water mark, and no clock may decide what that is.
/// 2. Atomicity: the events of one append MUST become visible together or not at all.
/// 3. Versions: the events of a stream MUST carry the versions 1, 2, 3 … without gaps, and their
///    positions MUST rise with their versions.
/// 4. Expectation: an append whose expected version or condition doesn't hold at its place in the
///    order MUST append nothing and say so, also when others append at the same moment.
/// 5. Durability: what was acknowledged MUST survive the death of every process.
/// 6. Repetition: an append whose event ids are in the log already MUST append nothing and MUST
///    answer as the first one did (`was_repeated`), if they were put there by the same append.
/// 7. Independence: a read MUST NOT wait for a transaction that isn't an append.
/// 8. Wake-up is a hint: a reader that polls MUST see everything without it.
///
/// The conformance suite checks each.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event store",
    label = "use `PostgresStore`, `SqliteStore` or `MemoryStore`, or implement `EventStore`"
)]
pub trait EventStore: CheckpointStore + Send + Sync + 'static {
    /// Appends events together or not at all.
    ///
    /// # Errors
    /// [`AppendError`]; after every variant but `OutcomeUnknown` nothing was appended.
    ///
    /// # Cancel safety
    /// Dropping the future doesn't take the append back: it may still be carried out. Append the
    /// same event ids again to learn what became of it.
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// Reads up to `limit` events of `stream` with a version above `after`, in order.
    ///
    /// It reads what is committed, which may stand above the high-water mark: a decision wants the
    /// latest state, and the expected version guards it.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Reads nothing that would be missed: call again.
    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// Reads what [`EventStore::read_stream`] does and gives each event, bare, to `visit`, the first
    /// ones while the rest is on its way; says how many there were. For who folds events and asks
    /// nothing else of them. A connection may be held meanwhile, so `visit` should be quick.
    ///
    /// # Errors
    /// [`ReadError`]. What was visited before is worth nothing: it may lack events at its beginning.
    ///
    /// # Cancel safety
    /// A dropped call has visited some of the events. Begin anew, with what `visit` changed as it was.
    async fn visit_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(BareEvent) + Send),
    ) -> Result<usize, ReadError> {
        Ok(visit_bare(self.read_stream(stream, after, limit).await?, visit))
    }

    /// Reads up to `limit` events behind `after` that `selection` wants, never above the
    /// high-water mark.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Reads nothing that would be missed: call again.
    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError>;

    /// Like [`EventStore::read_all`], for who folds events and asks nothing else of them.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Reads nothing that would be missed: call again.
    async fn read_all_bare(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<BareEvent>, ReadError> {
        Ok(self.read_all(selection, after, limit).await?.map(BareEvent::from))
    }

    /// Finds events by their ids, in order of position; ids that aren't in the log are left out.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Reads nothing that would be missed: call again.
    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The highest position that is safe to read: everything at or before it is final.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Changes nothing: call again.
    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError>;

    /// Tells of this process's own appends as they are committed. A hint, never the truth.
    fn signal(&self) -> AppendSignal;

    /// Where snapshots of this log's streams are kept; `None` if nowhere. A store that wraps another
    /// one MUST pass on the other's, or one that wraps it.
    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        None
    }

    /// Where the schemas of this log's events are kept; `None` if nowhere. A store that wraps another
    /// one MUST pass on the other's.
    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn crate::schema::SchemaStore> {
        None
    }

    /// The log as it lies in the store, with its personal data sealed, if this one opens it. What
    /// leaves the house reads that: a relay. A store that wraps another one MUST pass on the other's.
    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        None
    }

    /// Whose part of a log this is, if it is a tenant's. A store that wraps another one MUST pass on
    /// the other's.
    fn tenant(&self) -> Option<&TenantId> {
        None
    }

    /// True if events come back from this store just as they were appended, with the place that the append
    /// answered. A store that wraps another one MUST say no if it changes what is read, or what is
    /// appended in a way that a read of its own shows. (Personal data may come back opened or forgotten.)
    /// Where it is false, a warm aggregate reads back what it has appended before its next command, and
    /// boundaries hand nothing on.
    fn returns_what_was_appended(&self) -> bool {
        false
    }

    /// How often this process has forgotten somebody whose data this store shows, at least: what was
    /// read before it grew may show what is forgotten, so whoever keeps it reads it again. A store that
    /// wraps another one MUST pass on the other's.
    fn forgettings(&self) -> u64 {
        0
    }

    /// How many pages one reader that catches up asks for at a time, while it is busy with another. A
    /// store that wraps another one MUST pass on the other's.
    fn pages_ahead(&self) -> usize {
        2
    }

    /// Takes no more appends, and returns once those in flight have ended.
    async fn close(&self);
}
