//! The questions that are asked before events go, once for all stores.

use super::archived_part::are_of_log;
use super::progress::Counting;
use super::{
    ArchiveScope, ConsumerPlace, Retention, RetentionProgress, StreamRetention, TruncateError,
    VerifiedArchive,
};
use crate::{GlobalPosition, Selection, StateSchema, StreamId, StreamVersion};

/// How many events go in one transaction unless told otherwise: some milliseconds of work, so that
/// appends are never held up for long.
const STEP: usize = 1_000;

/// Removes events for good: up to a snapshot, or to the end of an ended stream, or the oldest part
/// of the log.
///
/// It refuses what an archive wasn't verified for, what a consumer hasn't read, and of a stream what
/// no snapshot stands for, unless told otherwise by name. Of the log it removes whatever the streams
/// need: there no snapshot is looked at. Whatever stops it on its way, the same call
/// again goes on.
///
/// # What the rest of the log sees
/// Events that went from a *stream* leave a hole that only readers of that stream are told of
/// ([`ReadError::StreamTruncated`](crate::ReadError::StreamTruncated)).
/// [`EventStore::read_all`](crate::EventStore::read_all) of everything, a category or a query leaves
/// them out without a word, and so do conditions and boundaries: a projection that is built anew comes
/// to another result, and a name that was claimed once, by an event that went, can be claimed again.
/// Truncate no stream whose events a boundary or condition rests on, and build projections anew over
/// [`ArchivedLog`](super::ArchivedLog), from an archive of the log that was written before.
///
/// What went from the *log* is told to every reader who starts before it
/// ([`ReadError::LogTruncated`](crate::ReadError::LogTruncated)), but not to conditions, which look at
/// the events that are there.
///
/// Ids go with their events: a repeated append whose events are gone is appended, and a repeated
/// command whose events are gone is carried out, a second time.
///
/// # Examples
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use highwater_core::retention::{Retention, Truncation};
/// use highwater_core::{
///     Append, EventStore, ExpectedVersion, MemoryStore, NewEvent, ReadError, StreamId,
///     StreamVersion,
/// };
///
/// let store = MemoryStore::new();
/// let stream = StreamId::new("meter", "7").unwrap();
/// let events = (0..5).map(|_| NewEvent::new("meter.read", &()).unwrap()).collect();
/// store.append(Append::to(stream.clone(), ExpectedVersion::NoStream, events)).await.unwrap();
///
/// // The meter is gone, and nobody wants its readings any more.
/// store.tombstone(&stream).await.unwrap();
/// let gone = Truncation::without_archive(&store).of_tombstoned(&stream).await.unwrap();
///
/// assert_eq!(gone, 5);
/// let read = store.read_stream(&stream, StreamVersion::EMPTY, 10).await;
/// assert!(matches!(read, Err(ReadError::StreamTruncated { .. })));
/// # });
/// ```
pub struct Truncation<'a> {
    store: &'a dyn Retention,
    archive: Option<&'a VerifiedArchive>,
    consumers: Vec<ConsumerPlace>,
    is_even_if_unread: bool,
    step: usize,
}

impl<'a> Truncation<'a> {
    /// Removes only what `archive` was verified for.
    #[must_use]
    pub fn archived(store: &'a dyn Retention, archive: &'a VerifiedArchive) -> Self {
        Self { archive: Some(archive), ..Self::without_archive(store) }
    }

    /// Removes without an archive: what goes is gone.
    #[must_use]
    pub fn without_archive(store: &'a dyn Retention) -> Self {
        let consumers = Vec::new();
        Self { store, archive: None, consumers, is_even_if_unread: false, step: STEP }
    }

    /// Names a consumer whose checkpoint the store doesn't hold: a read model, say.
    #[must_use]
    pub fn with_consumer(mut self, consumer: impl Into<String>, position: GlobalPosition) -> Self {
        self.consumers.push(ConsumerPlace { consumer: consumer.into(), position });
        self
    }

    /// Removes also what a known consumer hasn't read: it will never see it.
    #[must_use]
    pub fn even_if_unread(mut self) -> Self {
        self.is_even_if_unread = true;
        self
    }

    /// Removes this many events per transaction (1,000 unless told; at least 1).
    #[must_use]
    pub fn with_step(mut self, events: usize) -> Self {
        self.step = events.max(1);
        self
    }

    /// Removes the events of `stream` before version `before`, which the store's newest snapshot of
    /// the state `schema` stands for; says how many went.
    ///
    /// The snapshot must stand at `before` or later, and the event that it ends with stays: whoever
    /// loads it checks it against that. From now on the stream rests on its snapshots: a program that
    /// asks for another state, or another version of it, gets
    /// [`ReadError::StreamTruncated`](crate::ReadError::StreamTruncated).
    ///
    /// Readers of the whole log, and conditions, are *not* told that events are missing; see
    /// [`Truncation`], "What the rest of the log sees". A command whose events went is carried out a
    /// second time if it is repeated.
    ///
    /// # Errors
    /// [`TruncateError`].
    ///
    /// # Cancel safety
    /// Some have gone, and all that were to go are marked: call again.
    pub async fn of_stream_before(
        &self,
        stream: &StreamId,
        before: StreamVersion,
        schema: &StateSchema,
    ) -> Result<u64, TruncateError> {
        let snapshot = self.snapshot_of(stream, schema).await?;
        if snapshot < before {
            return Err(TruncateError::NoSnapshot { stream: stream.clone(), before, snapshot });
        }
        let to = StreamVersion::new(before.get().saturating_sub(1));
        let left = self.store.stream_retention(stream).await.map_err(TruncateError::Read)?;
        self.truncate(stream, left, to).await
    }

    /// The version of the newest snapshot that the log bears out; 0 if there is none.
    async fn snapshot_of(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
    ) -> Result<StreamVersion, TruncateError> {
        let Some(snapshots) = self.store.snapshots() else {
            return Ok(StreamVersion::EMPTY);
        };
        let newest = StreamVersion::new(u64::MAX);
        let found = snapshots.load_snapshot(stream, schema, newest).await;
        let Some(snapshot) = found.map_err(TruncateError::Snapshot)? else {
            return Ok(StreamVersion::EMPTY);
        };
        let found = self.store.find(&[snapshot.last_event]).await.map_err(TruncateError::Read)?;
        let is_borne_out = found.first().is_some_and(|event| {
            event.stream == *stream
                && event.version == snapshot.version
                && event.position == snapshot.position
        });
        Ok(if is_borne_out { snapshot.version } else { StreamVersion::EMPTY })
    }

    /// Removes all events of a tombstoned stream but the tombstone; says how many went.
    ///
    /// # Errors
    /// [`TruncateError`].
    ///
    /// # Cancel safety
    /// Some have gone, and all are marked: call again.
    pub async fn of_tombstoned(&self, stream: &StreamId) -> Result<u64, TruncateError> {
        let left = self.store.stream_retention(stream).await.map_err(TruncateError::Read)?;
        if !left.is_tombstoned {
            return Err(TruncateError::NotTombstoned { stream: stream.clone() });
        }
        let to = StreamVersion::new(left.head.get().saturating_sub(1));
        self.truncate(stream, left, to).await
    }

    async fn truncate(
        &self,
        stream: &StreamId,
        left: StreamRetention,
        to: StreamVersion,
    ) -> Result<u64, TruncateError> {
        if to > left.removed_to {
            if to >= left.head {
                let head = left.head;
                return Err(TruncateError::StreamHeadStays { stream: stream.clone(), to, head });
            }
            let newest = self.position_of(stream, to).await?;
            self.check_that_a_final_event_stays(stream, newest).await?;
            self.check_consumers(newest).await?;
            self.check_archive_of_stream(stream, left.removed_to, to).await?;
            self.store.mark_stream(stream, to).await.map_err(TruncateError::Store)?;
        }
        let mut gone = 0;
        loop {
            match self.store.remove_from_stream(stream, self.step).await {
                Ok(0) => return Ok(gone),
                Ok(events) => gone += events,
                Err(error) => return Err(TruncateError::Store(error)),
            }
        }
    }

    /// Removes the oldest part of the log, up to and including `to`; says how many events went.
    /// `tell` hears of the progress after each step.
    ///
    /// It looks at consumers and at the archive, and at *no snapshots*: a stream whose last event goes
    /// can't be loaded any more, with a snapshot or without, and one that loses only older events
    /// needs a snapshot behind them. Make sure that none of these streams is in use, or truncate
    /// stream by stream with [`Truncation::of_stream_before`]. A command whose events went is carried
    /// out a second time if it is repeated.
    ///
    /// # Errors
    /// [`TruncateError`].
    ///
    /// # Cancel safety
    /// Some have gone, and all that were to go are marked: call again.
    pub async fn of_log_to(
        &self,
        to: GlobalPosition,
        tell: &mut (dyn FnMut(RetentionProgress) + Send),
    ) -> Result<u64, TruncateError> {
        let removed = self.store.removed_to().await.map_err(TruncateError::Read)?;
        if to > removed {
            let mark = self.store.high_water_mark().await.map_err(TruncateError::Read)?;
            if to >= mark {
                return Err(TruncateError::LogHeadStays { to, mark });
            }
            self.check_consumers(to).await?;
            self.check_archive(ArchiveScope::of_log(removed, to)).await?;
            self.store.mark_log(to).await.map_err(TruncateError::Store)?;
        }
        let mut counting = Counting::of(to.get(), tell);
        while let Some((reached, events)) =
            self.store.remove_from_log(self.step).await.map_err(TruncateError::Store)?
        {
            counting.reached(reached.get(), events);
        }
        counting.reached(to.get(), 0);
        Ok(counting.events())
    }

    /// Where the event of a version stands. It is there: the stream's mark lies below it.
    async fn position_of(
        &self,
        stream: &StreamId,
        version: StreamVersion,
    ) -> Result<GlobalPosition, TruncateError> {
        let before = StreamVersion::new(version.get().saturating_sub(1));
        let found = self.store.read_stream(stream, before, 1).await;
        match found.map_err(TruncateError::Read)?.first() {
            Some(event) => Ok(event.position),
            // Removed with the log by somebody else, a moment ago.
            None => self.store.removed_to().await.map_err(TruncateError::Read),
        }
    }

    /// An event of the stream behind `newest` must be final: otherwise the log might lose the event
    /// that its high-water mark stands on, and the mark would fall.
    async fn check_that_a_final_event_stays(
        &self,
        stream: &StreamId,
        newest: GlobalPosition,
    ) -> Result<(), TruncateError> {
        let of_stream = Selection::Stream(stream.clone());
        let page = self.store.read_all(&of_stream, newest, 1).await.map_err(TruncateError::Read)?;
        match page.events.is_empty() {
            true => Err(TruncateError::NotFinal { stream: stream.clone(), newest }),
            false => Ok(()),
        }
    }

    /// Nobody whom the store or the caller knows may stand before `newest`.
    async fn check_consumers(&self, newest: GlobalPosition) -> Result<(), TruncateError> {
        if self.is_even_if_unread {
            return Ok(());
        }
        let known = self.store.consumers().await.map_err(TruncateError::Read)?;
        let furthest_back =
            known.into_iter().chain(self.consumers.iter().cloned()).min_by_key(|c| c.position);
        match furthest_back {
            Some(ConsumerPlace { consumer, position }) if position < newest => {
                Err(TruncateError::Unread { consumer, position, to: newest })
            }
            _ => Ok(()),
        }
    }

    /// An archive of the stream, or one of the log that all of its events to go stand in.
    async fn check_archive_of_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        to: StreamVersion,
    ) -> Result<(), TruncateError> {
        let is_of_log = self.archive.is_some_and(|archive| archive.scope().stream().is_none());
        if !is_of_log {
            return self.check_archive(ArchiveScope::of_stream(stream.clone(), after, to)).await;
        }
        let first = self.position_of(stream, after.next()).await?;
        let last = self.position_of(stream, to).await?;
        let before = GlobalPosition::new(first.get().saturating_sub(1));
        self.check_archive(ArchiveScope::of_log(before, last)).await
    }

    async fn check_archive(&self, wanted: ArchiveScope) -> Result<(), TruncateError> {
        let Some(archive) = self.archive else {
            return Ok(());
        };
        let archived = archive.scope();
        let covers = archived.stream() == wanted.stream()
            && archived.after() <= wanted.after()
            && archived.to() >= wanted.to();
        if !covers {
            return Err(TruncateError::NotArchived { wanted, archived: archived.clone() });
        }
        match are_of_log(self.store, archive.parts()).await.map_err(TruncateError::Read)? {
            true => Ok(()),
            false => Err(TruncateError::ForeignArchive { archived: archived.clone() }),
        }
    }
}
