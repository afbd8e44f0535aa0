//! Executing commands: load, decide, append; again if somebody else came first.
//!
//! # Why a command takes effect once
//! 1. The events of a command carry ids derived from the command's id, and the log holds an event
//!    id at most once. Whoever appends them second is told so and appends nothing.
//! 2. A command that was carried out before is recognised before it is decided, by its events, so a
//!    repetition returns the first outcome without deciding again.
//! 3. A decision is appended at exactly the version that it was made on, so what was decided on an
//!    old state never commits.
//! 4. An id that turns out to be taken belongs to another run of the command if the aggregate's
//!    stream shows that run by then (a store says "taken" only of what is committed), and to
//!    something else if it doesn't. Only the first is a repetition.
//! 5. Where the whole stream was read, a command that was carried out before showed while it was
//!    folded. Where the state is a warm one or a snapshot, it may stand in what was not read: then it
//!    is looked up by the id of its first event, after the state was loaded. What is in the state is
//!    in the log by then, and found; what comes later moves the version, see 3.
//!
//! Commands to one aggregate meet at its [desk](desk), where those that wait are decided one after
//! another and committed [together](turn).

mod desk;
mod for_tenant;
mod history;
mod snapshots;
#[cfg(test)]
mod tests;
mod time_travel;
mod turn;
mod warmth;

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use self::desk::{Answer, Desks};
use self::for_tenant::Within;
use self::history::{History, Runs};
pub use self::snapshots::SnapshotCounts;
use self::snapshots::Snapshots;
pub use self::time_travel::At;
pub use self::warmth::WarmSince;
use crate::{
    Aggregate, Clock, Command, CommandError, CommandId, Decide, DecisionContext, Event, EventId,
    EventStore, Evolve, GlobalPosition, Metadata, NewEvent, StreamId, StreamVersion, SystemClock,
    stream_of,
};

/// How many events of a stream are read at a time.
const LOAD_PAGE: usize = 1_000;
/// How many aggregates are kept warm unless told otherwise.
const KEPT_WARM: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReceipt {
    /// The id that the command was executed under.
    pub command: CommandId,
    /// The aggregate's stream.
    pub stream: StreamId,
    /// The aggregate's version behind the command.
    pub version: StreamVersion,
    /// A position at or behind the command's last event: a read model that has reached it shows the
    /// command's effect. Commands that were committed together all get the position of the last event
    /// among them; a repeated command, that of its own last event; one that emitted nothing, that of
    /// the aggregate's last event.
    pub position: GlobalPosition,
    /// True if the command had been executed before and nothing was done now.
    pub was_repeated: bool,
}

/// An aggregate as its events have made it.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// The version of its last event.
    pub version: StreamVersion,
    /// The position of its last event.
    pub position: GlobalPosition,
}

/// Executes commands against a store. Cheap to clone; clones share their warm aggregates.
#[derive(Clone)]
pub struct CommandHandler {
    store: Arc<dyn EventStore>,
    desks: Arc<Desks>,
    snapshots: Arc<Snapshots>,
    clock: Arc<dyn Clock>,
    new_id: NewCommandId,
    within: Option<Within>,
}

/// Makes the id of a command that has none.
pub(crate) type NewCommandId = Arc<dyn Fn() -> CommandId + Send + Sync>;

impl CommandHandler {
    /// Executes commands against `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self {
            store,
            desks: Arc::new(Desks::new(KEPT_WARM)),
            snapshots: Arc::new(Snapshots::new()),
            clock: Arc::new(SystemClock),
            new_id: Arc::new(CommandId::new),
            within: None,
        }
    }

    /// Tells decisions the time of `clock` (the machine's unless told). For tests: what is decided
    /// by time is then decided at the time that the test says.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        // An aggregate's desk keeps the clock that it was opened with.
        self.desks = Arc::new(self.desks.anew());
        self
    }

    /// Gives commands that have no id of their own the ids that `new_id` makes (fresh ones unless
    /// told). For tests: the ids of all events follow from the command's, so a log comes out the
    /// same every time. An id MUST NOT come twice, or the second command is taken for the first.
    #[must_use]
    pub fn with_command_ids(
        mut self,
        new_id: impl Fn() -> CommandId + Send + Sync + 'static,
    ) -> Self {
        self.new_id = Arc::new(new_id);
        self
    }

    /// Keeps the states of this many aggregates in memory, those that were used last (1,000 unless
    /// told). A warm aggregate saves the read; what is decided on it is held against the log.
    #[must_use]
    pub fn with_warm_aggregates(mut self, aggregates: NonZeroUsize) -> Self {
        self.desks = Arc::new(self.desks.anew_for(aggregates));
        self
    }

    /// Begins no command on a warm state that is older than `age`, however often it is used (without a
    /// limit unless told): so long may a state hold what the log no longer shows, the data of a person
    /// who was forgotten.
    ///
    /// A state that no command asks for any more goes from memory while commands to other aggregates
    /// come: at most four with each, and once it has gone unused for `age` it is among the next. In a
    /// handler that executes nothing, it stays until [`CommandHandler::drop_warm_aggregates`].
    #[must_use]
    pub fn with_warm_aggregates_for(mut self, age: Duration) -> Self {
        self.desks = Arc::new(self.desks.anew_with_age(age));
        self
    }

    /// Drops the states in memory: the next command to each aggregate reads it anew, at this handler, at
    /// its clones, and at all that were made from one another by [`CommandHandler::for_tenant`] or a
    /// `with_…` method. (Those others let go of theirs at their next command.)
    pub fn drop_warm_aggregates(&self) {
        self.desks.close_all();
    }

    /// For who reads a state from the log and keeps it in memory beside this handler's warm aggregates:
    /// note this before reading, and ask [`CommandHandler::is_still_warm`] before each use.
    #[must_use]
    pub fn warm_since(&self) -> WarmSince {
        self.desks.warm_since(&*self.store)
    }

    /// True if a state that was read after `since` was noted may still be used: warm aggregates were not
    /// [dropped](CommandHandler::drop_warm_aggregates) meanwhile, as they are when somebody is
    /// forgotten, and it is no older than [they](CommandHandler::with_warm_aggregates_for) may be.
    #[must_use]
    pub fn is_still_warm(&self, since: WarmSince) -> bool {
        self.desks.is_still_warm(since, &*self.store)
    }

    /// Executes `command` and returns once its events are durable.
    ///
    /// Commands of this process to one aggregate are decided one after another, each on what the ones
    /// before it leave, and committed together; at most 1,024 wait, and who comes then waits for room.
    ///
    /// The command runs under its own id ([`Command::command_id`]) or, if it has none, under a
    /// fresh one. Executing the same id again returns the first outcome and appends nothing.
    ///
    /// # Errors
    /// [`CommandError`]; the aggregate's "no" is [`CommandError::Rejected`].
    ///
    /// # Cancel safety
    /// A dropped call may still take effect. Execute the same command id again to settle it.
    pub async fn execute<C>(
        &self,
        command: C,
    ) -> Result<CommandReceipt, CommandError<RejectionOf<C>>>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        self.execute_with(command, Metadata::default()).await
    }

    /// Like [`CommandHandler::execute`], with metadata for the events. `metadata.command`, if set,
    /// is the id that the command runs under.
    ///
    /// # Errors
    /// As [`CommandHandler::execute`].
    ///
    /// # Cancel safety
    /// As [`CommandHandler::execute`].
    pub async fn execute_with<C>(
        &self,
        command: C,
        metadata: Metadata,
    ) -> Result<CommandReceipt, CommandError<RejectionOf<C>>>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        let given = metadata.command.or_else(|| command.command_id());
        let id = given.unwrap_or_else(|| (self.new_id)());
        let metadata = self.in_own_terms(metadata.with_command(id));
        let stream = stream_of::<C::Aggregate>(command.target()).map_err(CommandError::Target)?;
        let (store, clock, snapshots) = (&self.store, &self.clock, &self.snapshots);
        let desk = self.desks.desk::<C::Aggregate>(
            self.whole_name(&stream),
            &stream,
            store,
            clock,
            snapshots,
        );
        let decide = Box::new(move |state: &C::Aggregate, context: &DecisionContext| {
            state.decide(command.clone(), context)
        });
        match desk.submit(id, given.is_some(), metadata, decide).await {
            Answer::Result(result) => result,
            Answer::Panicked(panic) => resume_unwind(panic),
        }
    }

    /// Loads the aggregate that `id` names; one without events is in its default state.
    ///
    /// # Errors
    /// [`CommandError::Target`], [`CommandError::Load`] or [`CommandError::Decode`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn load<A: Evolve>(
        &self,
        id: &A::Id,
    ) -> Result<Loaded<A>, CommandError<A::Rejection>> {
        let stream = stream_of::<A>(id).map_err(CommandError::Target)?;
        let past = self.history(&stream).load(&mut Runs::of([])).await?;
        Ok(past.loaded)
    }

    /// What became of snapshots since this handler was made.
    #[must_use]
    pub fn snapshot_counts(&self) -> SnapshotCounts {
        self.snapshots.counts()
    }

    /// Returns once no snapshot waits to be kept: for tests, and for who wants to lose none at the end.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn snapshots_settled(&self) {
        self.snapshots.settled().await;
    }

    fn history<'a>(&'a self, stream: &'a StreamId) -> History<'a> {
        History { store: &*self.store, stream, snapshots: &self.snapshots }
    }
}

/// How the aggregate that decides `C` says no.
pub(crate) type RejectionOf<C> = <<C as Command>::Aggregate as Aggregate>::Rejection;

fn new_events<E: Event>(
    decided: &[E],
    command: CommandId,
    metadata: &Metadata,
) -> Result<Vec<NewEvent>, crate::EncodeError> {
    decided
        .iter()
        .enumerate()
        .map(|(index, event)| {
            Ok(NewEvent::from_event(event)?
                .with_id(EventId::of_command(command, index))
                .with_metadata(metadata.clone()))
        })
        .collect()
}
