//! What becomes of each append of a batch, decided before anything is written.
//!
//! Pure: it is given what the log holds and works out outcomes, positions and versions. So an
//! append that fails costs its neighbours nothing: there is nothing of it to undo.
//!
//! Conditions are asked of the log by the caller, which knows SQL; what stands in the batch itself
//! is looked at here.

use std::collections::{HashMap, HashSet};

use highwater_core::{
    Append, AppendError, Appended, EventId, GlobalPosition, NewEvent, RecordedEvent, StreamAppend,
    StreamHead, StreamId, StreamVersion,
};
use jiff::Timestamp;

/// What the log holds that a batch could meet, read under the write lock.
#[derive(Default)]
pub(crate) struct Known {
    /// The highest position.
    pub(crate) head: GlobalPosition,
    /// The version of each of the batch's streams.
    pub(crate) versions: HashMap<StreamId, StreamVersion>,
    /// Those of them that have ended.
    pub(crate) tombstoned: HashSet<StreamId>,
    /// The events that stand under the batch's ids: the batch, or a part of it, was here before.
    pub(crate) found: Vec<RecordedEvent>,
}

/// An event with its place.
pub(crate) struct Placed<'a> {
    pub(crate) event: &'a NewEvent,
    pub(crate) stream: &'a StreamId,
    pub(crate) version: StreamVersion,
    pub(crate) position: GlobalPosition,
}

/// The plan of a batch: an outcome per append that was judged, and what is to be written.
pub(crate) struct BatchPlan<'a> {
    known: Known,
    /// When the batch is recorded.
    pub(crate) recorded_at: Timestamp,
    found: HashSet<EventId>,
    accepted: HashSet<EventId>,
    pub(crate) placed: Vec<Placed<'a>>,
    pub(crate) outcomes: Vec<Result<Appended, AppendError>>,
}

impl<'a> BatchPlan<'a> {
    pub(crate) fn new(known: Known, recorded_at: Timestamp) -> Self {
        let found = known.found.iter().map(|event| event.id).collect();
        let (accepted, placed, outcomes) = (HashSet::new(), Vec::new(), Vec::new());
        Self { known, recorded_at, found, accepted, placed, outcomes }
    }

    /// Judges an append by what is known: `Some` outcome if that settles it, `None` if it is to be
    /// accepted as long as its condition holds.
    pub(crate) fn judge(&self, append: &Append) -> Option<Result<Appended, AppendError>> {
        // Before the expectation: what the first try did must not count against the second.
        if let Some(outcome) = self.earlier_try(append) {
            return Some(outcome);
        }
        append.streams().iter().find_map(|part| self.conflict(part)).map(Err)
    }

    fn earlier_try(&self, append: &Append) -> Option<Result<Appended, AppendError>> {
        let is_taken = |id| self.found.contains(id) || self.accepted.contains(id);
        let taken = append.events().find(|event| is_taken(&event.id))?;
        let id = taken.id;
        // What the batch itself brings is no earlier try: its appends have streams of their own.
        let earlier = Appended::of_earlier_try(append, &self.known.found);
        Some(earlier.ok_or(AppendError::EventIdTaken { id }))
    }

    fn conflict(&self, part: &StreamAppend) -> Option<AppendError> {
        if self.known.tombstoned.contains(&part.stream) {
            return Some(AppendError::StreamTombstoned { stream: part.stream.clone() });
        }
        let actual = self.version(&part.stream);
        (!part.expected.is_met_by(actual)).then(|| AppendError::VersionConflict {
            stream: part.stream.clone(),
            expected: part.expected,
            actual,
        })
    }

    fn version(&self, stream: &StreamId) -> StreamVersion {
        self.known.versions.get(stream).copied().unwrap_or_default()
    }

    /// True if the batch itself already brings what an append's condition must not find.
    pub(crate) fn brings_match_for(&self, append: &Append) -> bool {
        append.condition().is_some_and(|condition| {
            self.placed.iter().any(|placed| {
                placed.position > condition.after
                    && condition.query.matches(&placed.event.event_type, &placed.event.tags)
            })
        })
    }

    /// Gives the events of an append their places.
    pub(crate) fn accept(&mut self, append: &'a Append) {
        let heads = append.streams().iter().map(|part| self.place(part)).collect();
        let (position, recorded_at) = (self.known.head, self.recorded_at);
        let appended = Appended { position, recorded_at, heads, was_repeated: false };
        self.outcomes.push(Ok(appended));
    }

    fn place(&mut self, part: &'a StreamAppend) -> StreamHead {
        let mut version = self.version(&part.stream);
        for event in &part.events {
            version = version.next();
            self.known.head = GlobalPosition::new(self.known.head.get() + 1);
            self.accepted.insert(event.id);
            let (stream, position) = (&part.stream, self.known.head);
            self.placed.push(Placed { event, stream, version, position });
        }
        self.known.versions.insert(part.stream.clone(), version);
        StreamHead { stream: part.stream.clone(), version }
    }
}
