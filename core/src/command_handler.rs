//! Executing commands: load, decide, append; again if somebody else came first.
//!
//! # Why a command takes effect once
//! 1. The events of a command carry ids derived from the command's id, and the log holds an event
//!    id at most once. Whoever appends them second is told so and appends nothing.
//! 2. A command that was carried out before is recognised while its aggregate is loaded (its
//!    events name it), so a repetition returns the first outcome without deciding again.
//! 3. A decision is appended at exactly the version that it was made on, so what was decided on an
//!    old state never commits.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;

use crate::{
    Aggregate, Append, AppendError, Command, CommandError, CommandId, Decide, DecisionContext,
    Event, EventId, EventStore, Evolve, ExpectedVersion, GlobalPosition, Metadata, NewEvent,
    RecordedEvent, StreamId, StreamVersion, stream_of,
};

/// How many events of a stream are read at a time.
const LOAD_PAGE: usize = 1_000;
/// How often a command is decided before it is given up as contended.
const MAX_ATTEMPTS: u32 = 10;

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandReceipt {
    /// The id that the command was executed under.
    pub command: CommandId,
    /// The aggregate's stream.
    pub stream: StreamId,
    /// The aggregate's version behind the command.
    pub version: StreamVersion,
    /// The position of the command's last event: a read model that has reached it shows the
    /// command's effect. For a command that emitted nothing, the position of the aggregate's last
    /// event.
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

/// Executes commands against a store. Cheap to clone.
#[derive(Clone)]
pub struct CommandHandler {
    store: Arc<dyn EventStore>,
}

/// Why one try at a command didn't end it.
enum TryError<R: std::error::Error + 'static> {
    SomebodyElseWasFirst,
    Failed(CommandError<R>),
}

impl CommandHandler {
    /// Executes commands against `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store }
    }

    /// Executes `command` and returns once its events are durable.
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
        let id = metadata.command.or_else(|| command.command_id()).unwrap_or_else(CommandId::new);
        let metadata = metadata.with_command(id);
        let stream = stream_of::<C::Aggregate>(command.target()).map_err(CommandError::Target)?;
        let mut pauses = retry_pauses();
        loop {
            match self.try_once(&stream, command.clone(), id, &metadata).await {
                Ok(receipt) => return Ok(receipt),
                Err(TryError::Failed(error)) => return Err(error),
                Err(TryError::SomebodyElseWasFirst) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => {
                        return Err(CommandError::Contended { stream, attempts: MAX_ATTEMPTS });
                    }
                },
            }
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
        let (loaded, _) = self.load_stream::<A>(&stream, None).await?;
        Ok(loaded)
    }

    async fn try_once<C>(
        &self,
        stream: &StreamId,
        command: C,
        id: CommandId,
        metadata: &Metadata,
    ) -> Result<CommandReceipt, TryError<RejectionOf<C>>>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        let (loaded, repeated) =
            self.load_stream::<C::Aggregate>(stream, Some(id)).await.map_err(TryError::Failed)?;
        let receipt = |version, position, was_repeated| CommandReceipt {
            command: id,
            stream: stream.clone(),
            version,
            position,
            was_repeated,
        };
        if let Some(first) = repeated {
            return Ok(receipt(first.version, first.position, true));
        }
        let context = DecisionContext::new(Timestamp::now(), id);
        let decided = loaded
            .state
            .decide(command, &context)
            .map_err(|rejection| TryError::Failed(CommandError::Rejected(rejection)))?;
        if decided.is_empty() {
            return Ok(receipt(loaded.version, loaded.position, false));
        }
        let events = new_events(&decided, id, metadata).map_err(|source| {
            TryError::Failed(CommandError::Encode { stream: stream.clone(), source })
        })?;
        let expected = ExpectedVersion::Exact(loaded.version);
        match self.store.append(Append::to(stream.clone(), expected, events)).await {
            Ok(appended) => {
                let version = appended.heads.first().map_or(loaded.version, |head| head.version);
                Ok(receipt(version, appended.position, appended.was_repeated))
            }
            // The same command runs twice at once, and the other run emitted something else; the
            // next load finds its events.
            Err(AppendError::EventIdTaken { .. }) => Err(TryError::SomebodyElseWasFirst),
            Err(error) if error.is_conflict() => Err(TryError::SomebodyElseWasFirst),
            Err(source) => Err(TryError::Failed(CommandError::Append { command: id, source })),
        }
    }

    /// Folds the stream's events; also returns the last event of `command`, if it ran before.
    async fn load_stream<A: Evolve>(
        &self,
        stream: &StreamId,
        command: Option<CommandId>,
    ) -> Result<(Loaded<A>, Option<RecordedEvent>), CommandError<A::Rejection>> {
        let mut loaded = Loaded {
            state: A::default(),
            version: StreamVersion::EMPTY,
            position: GlobalPosition::START,
        };
        let mut repeated = None;
        loop {
            let page = self
                .store
                .read_stream(stream, loaded.version, LOAD_PAGE)
                .await
                .map_err(|source| CommandError::Load { stream: stream.clone(), source })?;
            let is_last = page.len() < LOAD_PAGE;
            for recorded in page {
                let event: A::Event = recorded
                    .decode()
                    .map_err(|source| CommandError::Decode { stream: stream.clone(), source })?;
                loaded.state.evolve(&event);
                loaded.version = recorded.version;
                loaded.position = recorded.position;
                if command.is_some() && recorded.metadata.command == command {
                    repeated = Some(recorded);
                }
            }
            if is_last {
                return Ok((loaded, repeated));
            }
        }
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

/// A first retry at once would meet the same crowd again; jitter takes it apart.
fn retry_pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(2))
        .with_max_delay(Duration::from_millis(200))
        .with_max_times(MAX_ATTEMPTS as usize - 1)
        .with_jitter()
        .build()
}
