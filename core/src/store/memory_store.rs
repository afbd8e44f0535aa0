//! The log in memory: the model that the other stores are compared with, and a store for tests.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::memory_retention::{Removed, is_tombstone};
use super::memory_snapshots::MemorySnapshots;
use super::{
    AppendSignal, CheckpointError, CheckpointStore, Claim, EventStore, Page, ReadError, Snapshot,
    SnapshotError, SnapshotStore, Standing,
};
use crate::recorded_event::Place;
use crate::{
    Append, AppendError, Appended, Clock, EventId, GlobalPosition, Payload, RecordedEvent,
    Selection, StateSchema, StreamAppend, StreamHead, StreamId, StreamVersion, SystemClock,
};

/// A log that lives and dies with the process.
///
/// It keeps every promise of [`EventStore`] but durability, one append at a time under one lock.
pub struct MemoryStore {
    log: Mutex<Log>,
    clock: Arc<dyn Clock>,
    snapshots: MemorySnapshots,
    #[cfg(feature = "schema")]
    schemas: super::memory_schemas::MemorySchemas,
    signal: AppendSignal,
}

#[derive(Default)]
pub(super) struct Log {
    /// Index `i` holds position `i + 1`; what was removed leaves its place empty.
    pub(super) events: Vec<Option<RecordedEvent>>,
    /// The positions of all events that a stream ever had.
    pub(super) streams: HashMap<StreamId, Vec<GlobalPosition>>,
    pub(super) ids: HashMap<EventId, GlobalPosition>,
    pub(super) removed: Removed,
    pub(super) checkpoints: HashMap<String, Checkpoint>,
    is_closed: bool,
}

/// A consumer's checkpoint.
pub(super) struct Checkpoint {
    pub(super) claim: Claim,
    beats: u64,
}

impl Checkpoint {
    fn first(consumer: &str) -> Self {
        let claim = Claim {
            consumer: consumer.to_owned(),
            epoch: 0,
            position: GlobalPosition::START,
            state: None,
        };
        Self { claim, beats: 0 }
    }
}

impl MemoryStore {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty log that writes the time of `clock` into its events (the machine's unless told): for
    /// tests of what looks at [`RecordedEvent::recorded_at`].
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            log: Mutex::default(),
            clock: Arc::new(clock),
            snapshots: MemorySnapshots::default(),
            #[cfg(feature = "schema")]
            schemas: super::memory_schemas::MemorySchemas::default(),
            signal: AppendSignal::default(),
        }
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        // Every change is checked before it is made, so a panic elsewhere leaves the log whole.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Log {
    pub(super) fn get(&self, position: GlobalPosition) -> Option<&RecordedEvent> {
        self.events[position.get() as usize - 1].as_ref()
    }

    pub(super) fn head(&self) -> GlobalPosition {
        GlobalPosition::new(self.events.len() as u64)
    }

    pub(super) fn version(&self, stream: &StreamId) -> StreamVersion {
        StreamVersion::new(self.streams.get(stream).map_or(0, Vec::len) as u64)
    }

    fn append(&mut self, append: Append, now: Timestamp) -> Result<Appended, AppendError> {
        if self.is_closed {
            return Err(AppendError::Closed);
        }
        append.validate()?;
        if let Some(first) = self.earlier_try(&append)? {
            return Ok(first);
        }
        for part in append.streams() {
            self.check_version(part)?;
        }
        self.check_condition(&append)?;
        let heads = append.streams().iter().map(|part| self.push(part, now)).collect();
        Ok(Appended { position: self.head(), recorded_at: now, heads, was_repeated: false })
    }

    fn earlier_try(&self, append: &Append) -> Result<Option<Appended>, AppendError> {
        let Some(taken) = append.events().find(|event| self.ids.contains_key(&event.id)) else {
            return Ok(None);
        };
        let found: Vec<_> = append
            .events()
            .filter_map(|event| self.ids.get(&event.id))
            .filter_map(|&position| self.get(position).cloned())
            .collect();
        Appended::of_earlier_try(append, &found)
            .map(Some)
            .ok_or(AppendError::EventIdTaken { id: taken.id })
    }

    fn check_version(&self, part: &StreamAppend) -> Result<(), AppendError> {
        self.check_open(&part.stream)?;
        let actual = self.version(&part.stream);
        if part.expected.is_met_by(actual) {
            return Ok(());
        }
        Err(AppendError::VersionConflict {
            stream: part.stream.clone(),
            expected: part.expected,
            actual,
        })
    }

    fn check_condition(&self, append: &Append) -> Result<(), AppendError> {
        let Some(condition) = append.condition() else {
            return Ok(());
        };
        let since = self.events.iter().skip(condition.after.get() as usize);
        for event in since.flatten() {
            if condition.query.matches(&event.event_type, &event.tags) {
                return Err(AppendError::ConditionFailed);
            }
        }
        Ok(())
    }

    fn push(&mut self, part: &StreamAppend, now: Timestamp) -> StreamHead {
        for event in &part.events {
            let version = self.version(&part.stream).next();
            let position = GlobalPosition::new(self.events.len() as u64 + 1);
            self.streams.entry(part.stream.clone()).or_default().push(position);
            self.ids.insert(event.id, position);
            let place = Place { stream: part.stream.clone(), version, position, recorded_at: now };
            self.events.push(Some(RecordedEvent::at(place, event.clone())));
        }
        StreamHead { stream: part.stream.clone(), version: self.version(&part.stream) }
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let appended = self.log().append(append, self.clock.now())?;
        self.signal.notify();
        Ok(appended)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.log();
        log.removed.check_stream(stream, after)?;
        let positions = log.streams.get(stream).map_or(&[][..], Vec::as_slice);
        Ok(positions
            .iter()
            .skip(after.get() as usize)
            .filter_map(|&position| log.get(position))
            .filter(|event| !is_tombstone(event))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let log = self.log();
        log.check_selection(selection, after)?;
        let events: Vec<_> = log
            .events
            .iter()
            .skip(after.get() as usize)
            .flatten()
            .filter(|event| selection.matches(event))
            .take(limit)
            .cloned()
            .collect();
        Ok(Page::of(events, limit, after, log.head()))
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.log();
        let mut positions: Vec<_> = ids.iter().filter_map(|id| log.ids.get(id)).collect();
        positions.sort_unstable();
        positions.dedup();
        Ok(positions.into_iter().filter_map(|&position| log.get(position).cloned()).collect())
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        Ok(self.log().head())
    }

    fn signal(&self) -> AppendSignal {
        self.signal.clone()
    }

    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn crate::schema::SchemaStore> {
        Some(&self.schemas)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(self)
    }

    fn returns_what_was_appended(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.log().is_closed = true;
    }
}

#[async_trait]
impl CheckpointStore for MemoryStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let mut log = self.log();
        let stored = log
            .checkpoints
            .entry(consumer.to_owned())
            .or_insert_with(|| Checkpoint::first(consumer));
        stored.claim.epoch += 1;
        Ok(stored.claim.clone())
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        claim.validate(state)?;
        let mut log = self.log();
        let stored = log
            .checkpoints
            .get_mut(&claim.consumer)
            .filter(|stored| stored.claim.epoch == claim.epoch);
        let Some(stored) = stored else {
            return Err(CheckpointError::Fenced {
                consumer: claim.consumer.clone(),
                epoch: claim.epoch,
            });
        };
        stored.beats += 1;
        stored.claim.position = stored.claim.position.max(position);
        if let Some(state) = state {
            stored.claim.state = Some(state.clone());
        }
        Ok(())
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        let log = self.log();
        Ok(log.checkpoints.get(consumer).map(|stored| Standing {
            epoch: stored.claim.epoch,
            position: stored.claim.position,
            beats: stored.beats,
            has_state: stored.claim.state.as_ref().is_some_and(|state| state.as_json() != "null"),
        }))
    }
}

#[async_trait]
impl SnapshotStore for MemoryStore {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.snapshots.load(stream, schema, at_most))
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        snapshot.validate()?;
        self.snapshots.save(snapshot, keep);
        Ok(())
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        self.snapshots.delete(stream);
        Ok(())
    }
}
