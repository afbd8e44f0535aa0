//! Puts transitions on record: one append per step, recognisable when repeated.
//!
//! # Why two drivers of one saga do no harm
//! 1. A transition is appended at exactly the version that it follows from. The driver that comes
//!    second is told, reads what the other one recorded, and goes on from there.
//! 2. A transition's event id is derived from stream, version and kind, so that an append whose
//!    outcome was lost is recognised when it is repeated. Whoever is told "that was there already"
//!    reads the stream again, for the one that is there may be the other driver's.
//! 3. The record that a command step had **no** effect carries the id of the first event that the
//!    command would emit. The log holds an event id once: either the command took effect before,
//!    and the record is refused ([`Recorded::Taken`]), or the command can never take effect any
//!    more, however late a driver that was thought dead executes it.
//!
//! # A tenant's saga
//! Its stream is the tenant's and is written through the tenant's wall, as the events of its commands
//! are: so rule 3 holds within a tenant, and no tenant sees another's sagas. Event ids in its data are
//! those that the tenant knows. The ids of its commands are derived from the stream's whole name: what
//! is called outside tells equal sagas of two tenants apart.

use std::sync::Arc;
use std::time::Duration;

use highwater_core::{
    Append, AppendError, CommandId, Event, EventId, EventStore, ExpectedVersion, Metadata,
    NewEvent, StreamId, StreamVersion, TenantStore,
};
use jiff::Timestamp;

use crate::error::DriveError;
use crate::instance::Instance;
use crate::saga_event::{SagaEvent, Started};

/// How often an append is tried before the store counts as gone.
const APPEND_TRIES: u32 = 5;
/// How many events of a saga are read at a time.
const LOAD_PAGE: usize = 500;

/// What became of a transition.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// It is on record, and the saga is now this.
    Done(Box<Instance>),
    /// Somebody else's transition is on record in its place, or it was on record before: read again.
    Overtaken,
    /// The command that should have had no effect had one.
    Taken,
    /// The store won't have the data itself.
    Refused(String),
}

/// Deadlines by the step's name, as the definition gives them.
type DeadlineOf<'a> = &'a (dyn Fn(&str) -> Option<Duration> + Sync);

/// What is to be recorded.
pub(crate) struct Transition<'a> {
    pub(crate) events: Vec<SagaEvent>,
    /// The outside event that led to it, where there is one, by the id that the saga's tenant knows.
    pub(crate) cause: Option<EventId>,
    /// Records that this command had no effect, with the first of the events.
    pub(crate) bars: Option<CommandId>,
    pub(crate) now: Timestamp,
    /// Needed for the bookkeeping that follows; `None` leaves that to the saga's driver.
    pub(crate) deadline_of: Option<DeadlineOf<'a>>,
}

impl Transition<'_> {
    /// Only these events, without what follows from them.
    pub(crate) fn only(event: SagaEvent) -> Self {
        Self {
            events: vec![event],
            cause: None,
            bars: None,
            now: Timestamp::UNIX_EPOCH,
            deadline_of: None,
        }
    }
}

/// Appends to the streams of sagas, and reads them.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) store: Arc<dyn EventStore>,
}

impl Recorder {
    /// What the saga's stream is written to, and its commands' events are looked up in.
    fn store_of(&self, stream: &StreamId) -> Arc<dyn EventStore> {
        match stream.tenant() {
            Some(tenant) => Arc::new(TenantStore::new(self.store.clone(), &tenant)),
            None => self.store.clone(),
        }
    }

    /// The stream's name in the log as a whole, also if this store is one tenant's part of it.
    fn whole_name(&self, stream: &StreamId) -> StreamId {
        self.store.tenant().map_or_else(|| stream.clone(), |tenant| stream.in_tenant(tenant))
    }

    /// The id of a step's command, or of its compensation's: the same in every attempt.
    pub(crate) fn command_id(&self, stream: &StreamId, kind: &str, step: &str) -> CommandId {
        command_id(&self.whole_name(stream), kind, step)
    }

    /// Reads a saga; `None` if it never started.
    pub(crate) async fn load(&self, stream: &StreamId) -> Result<Option<Instance>, DriveError> {
        let mut instance = None;
        let mut version = StreamVersion::EMPTY;
        loop {
            let page = self
                .store
                .read_stream(stream, version, LOAD_PAGE)
                .await
                .map_err(|source| DriveError::Read { stream: stream.to_string(), source })?;
            for recorded in &page {
                instance = Instance::fold(instance, recorded)
                    .map_err(|source| DriveError::Decode { stream: stream.to_string(), source })?;
                version = recorded.version;
            }
            if page.len() < LOAD_PAGE {
                return Ok(instance);
            }
        }
    }

    /// Records the start of a saga that isn't in the log.
    pub(crate) async fn start(
        &self,
        stream: &StreamId,
        metadata: Metadata,
        started: Started,
        transition: Transition<'_>,
    ) -> Result<Recorded, DriveError> {
        let first = SagaEvent::Started(started);
        let Some(instance) = Instance::begin(stream.clone(), metadata, first.clone()) else {
            return Ok(Recorded::Overtaken);
        };
        self.append(instance, vec![first], ExpectedVersion::NoStream, transition).await
    }

    /// Records a transition and the bookkeeping that follows from it, in one append.
    pub(crate) async fn record(
        &self,
        instance: &Instance,
        transition: Transition<'_>,
    ) -> Result<Recorded, DriveError> {
        let expected = ExpectedVersion::Exact(instance.version);
        self.append(instance.clone(), Vec::new(), expected, transition).await
    }

    async fn append(
        &self,
        mut instance: Instance,
        mut events: Vec<SagaEvent>,
        expected: ExpectedVersion,
        mut transition: Transition<'_>,
    ) -> Result<Recorded, DriveError> {
        let first_version = StreamVersion::new(instance.version.get() + 1 - events.len() as u64);
        for event in std::mem::take(&mut transition.events) {
            instance.apply(event.clone());
            events.push(event);
        }
        if let Some(deadline_of) = transition.deadline_of {
            while let Some(event) = instance.follow_up(transition.now, deadline_of) {
                instance.apply(event.clone());
                events.push(event);
            }
        }
        if events.is_empty() {
            return Ok(Recorded::Done(Box::new(instance)));
        }
        let events = new_events(&instance, first_version, &events, &transition)?;
        let append = Append::to(instance.stream.clone(), expected, events);
        self.commit(instance, append, transition.bars).await
    }

    async fn commit(
        &self,
        instance: Instance,
        append: Append,
        bars: Option<CommandId>,
    ) -> Result<Recorded, DriveError> {
        let store = self.store_of(&instance.stream);
        let mut pause = Duration::from_millis(10);
        for attempt in 1.. {
            let source = match store.append(append.clone()).await {
                Ok(appended) if appended.was_repeated => return Ok(Recorded::Overtaken),
                Ok(_) => return Ok(Recorded::Done(Box::new(instance))),
                Err(source) => source,
            };
            match source {
                AppendError::EventIdTaken { .. } => return self.who_took(&instance, bars).await,
                _ if source.is_conflict() => return Ok(Recorded::Overtaken),
                AppendError::Invalid(_) | AppendError::Refused { .. } => {
                    return Ok(Recorded::Refused(crate::step::with_causes(&source)));
                }
                _ if source.is_retryable() && attempt < APPEND_TRIES => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                _ => return Err(failed_append(&instance, source)),
            }
        }
        Ok(Recorded::Overtaken)
    }

    /// An event id was taken: by the command that should have had no effect, or by another driver.
    async fn who_took(
        &self,
        instance: &Instance,
        bars: Option<CommandId>,
    ) -> Result<Recorded, DriveError> {
        let Some(command) = bars else {
            return Ok(Recorded::Overtaken);
        };
        let found = self.store_of(&instance.stream).find(&[EventId::of_command(command, 0)]).await;
        let found = found
            .map_err(|source| DriveError::Read { stream: instance.stream.to_string(), source })?;
        let own = instance.stream.without_tenant();
        let is_effect = found.iter().any(|event| event.stream != own);
        Ok(if is_effect { Recorded::Taken } else { Recorded::Overtaken })
    }
}

fn failed_append(instance: &Instance, source: AppendError) -> DriveError {
    DriveError::Append { stream: instance.stream.to_string(), source }
}

fn new_events(
    instance: &Instance,
    first_version: StreamVersion,
    events: &[SagaEvent],
    transition: &Transition<'_>,
) -> Result<Vec<NewEvent>, DriveError> {
    let stream = &instance.stream;
    let mut metadata = instance.metadata.clone();
    metadata.causation = transition.cause.or(Some(instance.trigger));
    events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let id = match transition.bars {
                Some(command) if index == 0 => EventId::of_command(command, 0),
                _ => transition_id(stream, first_version.plus(index as u64), event),
            };
            let event = NewEvent::from_event(event)
                .map_err(|source| DriveError::Encode { stream: stream.to_string(), source })?;
            Ok(event.with_id(id).with_metadata(metadata.clone()))
        })
        .collect()
}

fn transition_id(stream: &StreamId, version: StreamVersion, event: &SagaEvent) -> EventId {
    let key = format!("{version}:{}", event.event_type());
    EventId::of_command(CommandId::from_key(stream.as_str(), &key), 0)
}

/// See [`Recorder::command_id`].
pub(crate) fn command_id(stream: &StreamId, kind: &str, step: &str) -> CommandId {
    CommandId::from_key(stream.as_str(), &format!("{kind}:{step}"))
}
