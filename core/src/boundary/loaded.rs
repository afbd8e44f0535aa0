//! A boundary as the log has made it, and the one append that it is good for.

use std::sync::Arc;

use super::reading::Reading;
use crate::{
    Append, AppendCondition, AppendError, AppendWithinError, Appended, BoundaryEvent,
    DecisionModels, EventStore, ExpectedVersion, GlobalPosition, InvalidAppend, LoadBoundaryError,
    NewEvent, StreamId,
};

/// Decision models as the log has made them, and the position up to which it was read.
///
/// It is good for one append, which succeeds only if nothing that matches the models' queries was
/// appended since. [`Boundaries::decide`](crate::Boundaries::decide) does this with retries; take a
/// `Boundary` where a decision needs more than a function, or to look and not append. One that is
/// decided on again and again is kept: see [`Boundaries::decide_on`](crate::Boundaries::decide_on).
///
/// ```
/// # use std::sync::Arc;
/// # use highwater::{
/// #     Boundary, DecisionModel, Event, EventQuery, InvalidTag, MemoryStore, RecordedEvent,
/// # };
/// # #[derive(Event)]
/// # enum NameEvent {
/// #     #[event(name = "name.claimed")] Claimed { #[event(tag)] name: String },
/// # }
/// # struct Taken { name: String, is_taken: bool }
/// # impl DecisionModel for Taken {
/// #     type Event = NameEvent;
/// #     fn query(&self) -> Result<EventQuery<NameEvent>, InvalidTag> {
/// #         EventQuery::all().tagged("name", &self.name)
/// #     }
/// #     fn evolve(&mut self, _: &NameEvent, _: &RecordedEvent) { self.is_taken = true; }
/// # }
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = Arc::new(MemoryStore::new());
/// let blank = || Taken { name: "ada".to_owned(), is_taken: false };
/// let mine = Boundary::load(store.clone(), blank()).await?;
/// let theirs = Boundary::load(store.clone(), blank()).await?;
/// assert!(!mine.state().is_taken);
///
/// mine.append([NameEvent::Claimed { name: "ada".to_owned() }]).await?;
/// let late = theirs.append([NameEvent::Claimed { name: "ada".to_owned() }]).await;
/// assert!(late.unwrap_err().is_conflict());
/// # Ok(())
/// # }
/// ```
pub struct Boundary<M: DecisionModels> {
    reading: Reading<M>,
}

impl<M: DecisionModels> Boundary<M> {
    /// Reads every event that `model` (one, or a tuple of several) asks for, up to the high-water
    /// mark, into it.
    ///
    /// # Errors
    /// [`LoadBoundaryError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn load(store: Arc<dyn EventStore>, model: M) -> Result<Self, LoadBoundaryError> {
        let mut reading = Reading::of(store, model)?;
        reading.read_on().await?;
        Ok(Self { reading })
    }

    pub(super) fn reading(&mut self) -> &mut Reading<M> {
        &mut self.reading
    }

    /// What the log has made of the models.
    #[must_use]
    pub fn state(&self) -> &M {
        self.reading.state()
    }

    /// How far the log was read: every match at or before this position is in the state.
    #[must_use]
    pub fn read_to(&self) -> GlobalPosition {
        self.reading.read_to()
    }

    /// What must hold for a decision on this state to take effect.
    #[must_use]
    pub fn condition(&self) -> AppendCondition {
        self.reading.condition()
    }

    /// The append of `events` on this state, to be given to the store. As its event ids don't
    /// change, it may be tried again after an unknown outcome.
    ///
    /// # Errors
    /// [`AppendWithinError::Unfiled`], or [`InvalidAppend::Empty`] without events.
    pub fn to_append<E: BoundaryEvent>(
        &self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Append, AppendWithinError> {
        let events = events
            .into_iter()
            .map(|event| event.to_filed())
            .collect::<Result<_, _>>()
            .map_err(AppendWithinError::Unfiled)?;
        filed(events, self.condition())
            .ok_or(AppendWithinError::Append(AppendError::Invalid(InvalidAppend::Empty)))
    }

    /// Appends `events`, together or not at all, if nothing that the models ask for was appended
    /// since they were read. See [`BoundaryEvent`] for the streams that they go behind.
    ///
    /// Afterwards the boundary is spent: its own events stand behind what it has read.
    ///
    /// # Errors
    /// [`AppendWithinError`]; [`is_conflict`](AppendWithinError::is_conflict) says that somebody
    /// else came first.
    ///
    /// # Cancel safety
    /// A dropped call may still take effect. Keep [`Boundary::to_append`] if that must be settled.
    pub async fn append<E: BoundaryEvent>(
        self,
        events: impl IntoIterator<Item = E>,
    ) -> Result<Appended, AppendWithinError> {
        let append = self.to_append(events)?;
        self.reading.store().append(append).await.map_err(AppendWithinError::Append)
    }
}

/// One append of all events, in the order of the streams' first events; `None` without events.
pub(super) fn filed(
    events: Vec<(StreamId, NewEvent)>,
    condition: AppendCondition,
) -> Option<Append> {
    let mut parts: Vec<(StreamId, Vec<NewEvent>)> = Vec::new();
    for (stream, event) in events {
        match parts.iter_mut().find(|(known, _)| *known == stream) {
            Some((_, events)) => events.push(event),
            None => parts.push((stream, vec![event])),
        }
    }
    let mut parts = parts.into_iter();
    let (stream, events) = parts.next()?;
    let any = ExpectedVersion::Any;
    let first = Append::to(stream, any, events).with_condition(condition);
    Some(parts.fold(first, |append, (stream, events)| append.and_to(stream, any, events)))
}
