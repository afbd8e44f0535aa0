//! Deciding within a boundary: load, decide, append; again if somebody else came first.
//!
//! # Why a command takes effect once
//! 1. The events of a command carry ids derived from the command's id, and the log takes an append
//!    only if none of its ids is there. Whoever appends second is told so and appends nothing.
//! 2. A try that ends in anything but an append of its own looks for the events of an earlier run
//!    before it answers, and answers with their outcome. It looks after it has loaded: what the
//!    models have seen of the earlier run is in the log by then, so a repetition is never rejected
//!    because of what it did itself.
//! 3. An id that was made here can't have run before, and is not looked for, until the log says that
//!    its events were there: then a try of this very decision was carried out and its answer lost.
//!
//! Who had to wait for others of this process decides on what they hand on, where that is all that
//! there is (`handed_on.rs`): such a decision costs one round trip and not two.

use std::error::Error;
use std::sync::Arc;

use super::handed_on::Single;
use super::loaded::filed;
use super::reading::Reading;
use super::repetition::first_outcome;
use super::turnstiles::Turnstiles;
use crate::command_handler::NewCommandId;
use crate::personal::marker::PERSONAL;
use crate::recorded_event::Place;
use crate::retry_pauses::{MAX_ATTEMPTS, retry_pauses};
use crate::{
    AppendError, Appended, Boundary, BoundaryError, BoundaryEvent, CommandId, DecisionModels,
    EventId, EventStore, GlobalPosition, LoadBoundaryError, Metadata, NewEvent, RecordedEvent,
    StreamHead, StreamId, UnfiledEvent,
};

/// What a decision within a boundary did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundaryReceipt {
    /// The id that it was decided under.
    pub command: CommandId,
    /// The position of its last event: a read model that has reached it shows the decision's
    /// effect. For a decision without events, how far the log had been read for it.
    pub position: GlobalPosition,
    /// The new version of each stream that it appended to.
    pub heads: Vec<StreamHead>,
    /// True if the command had been decided before and nothing was done now.
    pub was_repeated: bool,
}

/// Decides within boundaries that are no aggregate. Cheap to clone.
///
/// ```
/// # use std::sync::Arc;
/// # use highwater::{
/// #     Boundaries, DecisionModel, Event, EventQuery, InvalidTag, MemoryStore, RecordedEvent, emit,
/// #     ensure, event_query,
/// # };
/// # #[derive(Event)]
/// # enum SeatEvent {
/// #     #[event(name = "seat.taken")]
/// #     Taken { #[event(tag)] show: String, #[event(tag)] guest: String },
/// # }
/// # #[derive(Clone)] struct Sold { show: String, count: u32 }
/// # impl DecisionModel for Sold {
/// #     type Event = SeatEvent;
/// #     fn query(&self) -> Result<EventQuery<SeatEvent>, InvalidTag> {
/// #         EventQuery::all().tagged("show", &self.show)
/// #     }
/// #     fn evolve(&mut self, _: &SeatEvent, _: &RecordedEvent) { self.count += 1; }
/// # }
/// # #[derive(Clone)] struct Bought { guest: String, count: u32 }
/// # impl DecisionModel for Bought {
/// #     type Event = SeatEvent;
/// #     fn query(&self) -> Result<EventQuery<SeatEvent>, InvalidTag> {
/// #         EventQuery::all().tagged("guest", &self.guest)
/// #     }
/// #     fn evolve(&mut self, _: &SeatEvent, _: &RecordedEvent) { self.count += 1; }
/// # }
/// #[derive(Debug, PartialEq, thiserror::Error)]
/// enum NoSeat {
///     #[error("the show is sold out")]
///     SoldOut,
///     #[error("a guest takes four seats at most")]
///     Enough,
/// }
///
/// /// Two rules at once: a show has 100 seats, a guest takes four at most.
/// fn take_seat((sold, bought): &(Sold, Bought)) -> Result<Vec<SeatEvent>, NoSeat> {
///     ensure!(sold.count < 100, NoSeat::SoldOut);
///     ensure!(bought.count < 4, NoSeat::Enough);
///     emit(SeatEvent::Taken { show: sold.show.clone(), guest: bought.guest.clone() })
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let boundaries = Boundaries::new(Arc::new(MemoryStore::new()));
/// let sold = Sold { show: "faust".to_owned(), count: 0 };
/// let bought = Bought { guest: "ada".to_owned(), count: 0 };
/// let receipt = boundaries.decide((sold, bought), take_seat).await?;
/// assert_eq!(receipt.heads[0].stream.as_str(), "show-faust");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Boundaries {
    store: Arc<dyn EventStore>,
    new_id: NewCommandId,
    turnstiles: Turnstiles,
}

/// How one try at a decision ended.
enum Tried<R> {
    /// With what was appended, if that is one event.
    Appended(BoundaryReceipt, Option<Box<Single>>),
    NothingToDo(BoundaryReceipt),
    Rejected(R),
    /// By another decision.
    Overtaken,
    /// By another run, or an earlier try, of this one.
    Repeated,
}

impl Boundaries {
    /// Decides against `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, new_id: Arc::new(CommandId::new), turnstiles: Turnstiles::default() }
    }

    /// Decides under the ids that `new_id` makes where none is given (fresh ones unless told); see
    /// [`CommandHandler::with_command_ids`](crate::CommandHandler::with_command_ids).
    #[must_use]
    pub fn with_command_ids(
        mut self,
        new_id: impl Fn() -> CommandId + Send + Sync + 'static,
    ) -> Self {
        self.new_id = Arc::new(new_id);
        self
    }

    /// The same for a part of the log: decisions through both queue at the same turnstiles.
    pub(crate) fn within(&self, store: Arc<dyn EventStore>) -> Self {
        Self { store, ..self.clone() }
    }

    /// Reads `model` (one, or a tuple of several); see [`Boundary::load`].
    ///
    /// # Errors
    /// [`LoadBoundaryError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn load<M: DecisionModels>(
        &self,
        model: M,
    ) -> Result<Boundary<M>, LoadBoundaryError> {
        Boundary::load(self.store.clone(), model).await
    }

    /// Loads `model` (one, or a tuple of several), lets `decide` answer, and appends its events if
    /// nothing that the models ask for was appended meanwhile; otherwise takes in what was, and
    /// decides again, some 10 times, with growing pauses. Returns once the events are durable.
    ///
    /// Decisions of one process that get in each other's way queue, in order of arrival, and the
    /// first one goes on alone; so only those of other processes cost it further tries.
    ///
    /// `decide` must be pure, as it may be called several times: it answers from the state alone
    /// and changes nothing. See [`BoundaryEvent`] for the streams that its events go behind.
    ///
    /// # Errors
    /// [`BoundaryError`]; the "no" of `decide` is [`BoundaryError::Rejected`].
    ///
    /// # Cancel safety
    /// A dropped call may still take effect. To be able to settle it, decide under an id of your
    /// own: [`Boundaries::decide_with`].
    pub async fn decide<M, E, R>(
        &self,
        model: M,
        decide: impl Fn(&M) -> Result<Vec<E>, R> + Send + Sync,
    ) -> Result<BoundaryReceipt, BoundaryError<R>>
    where
        M: DecisionModels,
        E: BoundaryEvent,
        R: Error + Send + Sync + 'static,
    {
        self.decide_with(Metadata::default(), model, decide).await
    }

    /// Like [`Boundaries::decide`], with metadata for the events that have none of their own.
    ///
    /// `metadata.command`, if set, is the id that it is decided under: deciding under the same id
    /// again, here or in another process, returns the first outcome and appends nothing. A decision
    /// that was rejected or had nothing to do has left no trace, and is made anew. An id belongs to
    /// one intent: for another one it would be taken for a repetition.
    ///
    /// # Errors
    /// As [`Boundaries::decide`].
    ///
    /// # Cancel safety
    /// A dropped call may still take effect. Decide under the same id again to settle it.
    pub async fn decide_with<M, E, R>(
        &self,
        metadata: Metadata,
        model: M,
        decide: impl Fn(&M) -> Result<Vec<E>, R> + Send + Sync,
    ) -> Result<BoundaryReceipt, BoundaryError<R>>
    where
        M: DecisionModels,
        E: BoundaryEvent,
        R: Error + Send + Sync + 'static,
    {
        let mut reading = Reading::of(self.store.clone(), model).map_err(BoundaryError::Load)?;
        self.decide_in(&mut reading, metadata, &decide).await
    }

    /// Like [`Boundaries::decide_with`], on a boundary that is kept: only what is new is read. Its
    /// store is the one that is appended to.
    ///
    /// For a boundary with a long past that is decided on again and again. It needn't be up to date.
    ///
    /// # Errors
    /// As [`Boundaries::decide`]. After [`LoadBoundaryError::Decode`] the boundary's state may hold a
    /// part of the event that could not be read: load another.
    ///
    /// # Cancel safety
    /// As [`Boundaries::decide_with`]; the boundary can be used further.
    pub async fn decide_on<M, E, R>(
        &self,
        boundary: &mut Boundary<M>,
        metadata: Metadata,
        decide: impl Fn(&M) -> Result<Vec<E>, R> + Send + Sync,
    ) -> Result<BoundaryReceipt, BoundaryError<R>>
    where
        M: DecisionModels,
        E: BoundaryEvent,
        R: Error + Send + Sync + 'static,
    {
        self.decide_in(boundary.reading(), metadata, &decide).await
    }

    async fn decide_in<M, E, R>(
        &self,
        reading: &mut Reading<M>,
        metadata: Metadata,
        decide: &(impl Fn(&M) -> Result<Vec<E>, R> + Send + Sync),
    ) -> Result<BoundaryReceipt, BoundaryError<R>>
    where
        M: DecisionModels,
        E: BoundaryEvent,
        R: Error + Send + Sync + 'static,
    {
        let mut may_have_run = metadata.command.is_some();
        let command = metadata.command.unwrap_or_else(|| (self.new_id)());
        let metadata = metadata.with_command(command);
        let gates = self.turnstiles.gates_of(reading.query());
        let mut passage = match gates.are_crowded() {
            true => Some(gates.pass().await),
            false => None,
        };
        let mut pauses = retry_pauses();
        let mut has_just_passed = passage.is_some();
        loop {
            let is_handed_on = match &passage {
                Some(passage) if has_just_passed => passage.take_over(reading),
                _ => Ok(false),
            };
            has_just_passed = false;
            let is_handed_on = is_handed_on.map_err(BoundaryError::Load)?;
            if !is_handed_on {
                reading.read_on().await.map_err(BoundaryError::Load)?;
            }
            let tried = try_once(command, &metadata, reading, decide).await?;
            if let Tried::Appended(receipt, single) = tried {
                if let (Some(passage), Some(single)) = (&passage, single) {
                    passage.hand_on(reading, *single);
                }
                return Ok(receipt);
            }
            may_have_run |= matches!(tried, Tried::Repeated);
            if is_handed_on {
                // Others may have come first, and a "no" is said of what was read.
                continue;
            }
            if may_have_run && let Some(first) = first_run(&**reading.store(), command).await? {
                return Ok(first);
            }
            match tried {
                Tried::Appended(receipt, _) | Tried::NothingToDo(receipt) => return Ok(receipt),
                Tried::Rejected(rejection) => return Err(BoundaryError::Rejected(rejection)),
                Tried::Overtaken | Tried::Repeated => {}
            }
            let Some(pause) = pauses.next() else {
                return Err(BoundaryError::Contended { command, attempts: MAX_ATTEMPTS });
            };
            if passage.is_none() {
                // The wait for others is pause enough.
                passage = Some(gates.pass().await);
                has_just_passed = true;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn try_once<M, E, R>(
    command: CommandId,
    metadata: &Metadata,
    reading: &Reading<M>,
    decide: &(impl Fn(&M) -> Result<Vec<E>, R> + Send + Sync),
) -> Result<Tried<R>, BoundaryError<R>>
where
    M: DecisionModels,
    E: BoundaryEvent,
    R: Error + Send + Sync + 'static,
{
    let events = match decide(reading.state()) {
        Ok(decided) => new_events(&decided, command, metadata).map_err(BoundaryError::Unfiled)?,
        Err(rejection) => return Ok(Tried::Rejected(rejection)),
    };
    let receipt =
        |position, heads| BoundaryReceipt { command, position, heads, was_repeated: false };
    let single = match &events[..] {
        [(_, one)] => comes_back_as_it_is(&**reading.store(), one).then(|| one.clone()),
        _ => None,
    };
    let Some(append) = filed(events, reading.condition()) else {
        return Ok(Tried::NothingToDo(receipt(reading.read_to(), Vec::new())));
    };
    match reading.store().append(append).await {
        // The events of this try stood in the log already; the earlier run may have had more.
        Ok(appended) if appended.was_repeated => Ok(Tried::Repeated),
        Ok(appended) => {
            let single = single.and_then(|single| recorded(single, reading.read_to(), &appended));
            Ok(Tried::Appended(receipt(appended.position, appended.heads), single))
        }
        // The earlier run emitted something else.
        Err(AppendError::EventIdTaken { .. }) => Ok(Tried::Repeated),
        Err(error) if error.is_conflict() => Ok(Tried::Overtaken),
        Err(source) => Err(BoundaryError::Append { command, source }),
    }
}

/// True if whoever reads the event finds what was appended.
pub(super) fn comes_back_as_it_is(store: &dyn EventStore, event: &NewEvent) -> bool {
    store.returns_what_was_appended() && !PERSONAL.is_in(event.data.as_json())
}

fn recorded(event: NewEvent, after: GlobalPosition, appended: &Appended) -> Option<Box<Single>> {
    let head = appended.heads.first()?;
    let place = Place {
        stream: head.stream.clone(),
        version: head.version,
        position: appended.position,
        recorded_at: appended.recorded_at,
    };
    Some(Box::new(Single { after, event: RecordedEvent::at(place, event) }))
}

async fn first_run<R: Error + 'static>(
    store: &dyn EventStore,
    command: CommandId,
) -> Result<Option<BoundaryReceipt>, BoundaryError<R>> {
    first_outcome(store, command)
        .await
        .map_err(|source| BoundaryError::Load(LoadBoundaryError::Read(source)))
}

fn new_events<E: BoundaryEvent>(
    decided: &[E],
    command: CommandId,
    metadata: &Metadata,
) -> Result<Vec<(StreamId, NewEvent)>, UnfiledEvent> {
    decided
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let (stream, mut event) = event.to_filed()?;
            event.id = EventId::of_command(command, index);
            event.metadata = if event.metadata.is_empty() {
                metadata.clone()
            } else {
                event.metadata.with_command(command)
            };
            Ok((stream, event))
        })
        .collect()
}
