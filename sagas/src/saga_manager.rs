//! Hosts one kind of saga: reads the log, starts and tells instances, has them driven.
//!
//! # Who may touch what when
//! 1. One task owns the slots, the timers and the claim. A slot's driver is in the slot, or it is
//!    being driven by one task; never both.
//! 2. At most `max_concurrent` sagas are driven at once; the others wait in the order in which they
//!    became ready.
//! 3. The checkpoint moves only past events whose consequences are on record, and the list of open
//!    sagas that is stored beside it holds every saga started at or before it that hasn't ended. So
//!    a start reads that list and the tail of the log, never the whole log.
//! 4. Of several managers of one saga one drives, the others stand by (see core's `Standby`). When
//!    the claim is taken from a manager, both drive until it notices: the streams' versions let only
//!    one of them record each transition. Then it drops its drivers, which is always safe.
//! 5. The checkpoint may stay where it is for as long as sagas take: by rule 3, and because no more
//!    are driven than `max_concurrent`. At the log's end there may be work left as well: an open saga
//!    waits for a retry, a deadline or a call. So a manager that isn't at the log's end, or has open
//!    sagas, advances to where the checkpoint stands, again and again, and whoever stands by sees that
//!    it lives. This is done by the task of rule 1, which waits for no saga. Once no saga is open it
//!    stores that, and may be silent.
//! 6. A deadline passes only once everything has been read that was in the log when its time had come:
//!    an answer that came in time is never late because the manager was away, or behind. A driver whose
//!    saga is overdue leaves it until then, so that who waits for the reading never keeps from work
//!    whom the reading waits for.
//! 7. A saga belongs where the event does that started it: to a tenant, or to none. Only events from
//!    there reach it, so equal keys of two tenants are two sagas.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{
    Claim, Clock, Component, ComponentContext, ComponentError, EventStore, GlobalPosition,
    InvalidStreamId, Page, Payload, RecordedEvent, Selection, Standby, StreamId, Subscription,
};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::driver::{self, Attempts, Driver, Rest, Shared};
use crate::error::DriveError;
use crate::inbox::{Delivery, Inbox, Signal};
use crate::late_call::LateCalls;
use crate::probe::Probe;
use crate::recorder::Recorder;
use crate::saga::{Definition, SagaState};
use crate::saga_event::{SagaEvent, category_of, own_id, stream_of};
use crate::timers::Timers;
use crate::{Saga, SagaControl};

mod place;
mod stopped;

use stopped::{Stopped, drive_error, read_error, unreadable};

/// How many events may be read and not yet dealt with before reading pauses.
pub(crate) const MOST_UNFINISHED: usize = 1_024;
/// How often the checkpoint is stored while sagas go on.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Hosts one kind of saga, as the component `saga:<name>`.
///
/// It goes on where it, or another manager of the same saga, stopped, however that came about.
///
/// Its memory holds every open saga's state. Host it in as many processes as you like: the manager
/// that started last drives the sagas, the others stand by and take over when it dies.
///
/// It hosts the sagas of all tenants: what an event of a tenant starts is the tenant's, its stream as
/// well as its commands, and only events of that tenant cancel or answer it. Definitions need not know.
///
/// A start event is never lost: if the saga's first state can't be stored, the saga is recorded
/// paused, with the reason, and makes its state anew when it is resumed.
pub struct SagaManager<S> {
    saga: Saga<S>,
    name: String,
    clock: Option<Arc<dyn Clock>>,
    max_concurrent: usize,
    standby: Standby,
    probe: Option<Arc<dyn Probe>>,
    #[cfg(test)]
    pub(crate) calls_before_recording: bool,
}

impl<S: SagaState> SagaManager<S> {
    /// Hosts `saga`.
    #[must_use]
    pub fn new(saga: Saga<S>) -> Self {
        Self {
            name: format!("saga:{}", saga.name()),
            saga,
            clock: None,
            max_concurrent: 64,
            standby: Standby::new(),
            probe: None,
            #[cfg(test)]
            calls_before_recording: false,
        }
    }

    /// Drives at most this many sagas at once (64 unless told; at least 1). One that waits for an
    /// answer, a deadline or the next attempt doesn't count.
    #[must_use]
    pub fn with_max_concurrent(mut self, sagas: usize) -> Self {
        self.max_concurrent = sagas.max(1);
        self
    }

    /// Takes over from another process's manager that stands still with work left for this long (5 s
    /// unless told): how long a crash of the other one goes unnoticed. It should be the same in
    /// every process; too short costs needless changes, never a saga.
    #[must_use]
    pub fn with_takeover_after(mut self, still: Duration) -> Self {
        self.standby = Standby::new().with_takeover_after(still);
        self
    }

    /// Takes deadlines and retries from `clock` instead of the application's.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Lists, shows, resumes and compensates the sagas of this kind in `store`.
    #[must_use]
    pub fn control(&self, store: Arc<dyn EventStore>) -> SagaControl {
        SagaControl::new(store, self.saga.name())
    }

    #[cfg_attr(not(any(test, feature = "testing")), expect(dead_code, reason = "for tests"))]
    pub(crate) fn with_probe(mut self, probe: Arc<dyn Probe>) -> Self {
        self.probe = Some(probe);
        self
    }

    /// Drives sagas until shutdown, or until something stops it.
    async fn lead(&self, context: &ComponentContext) -> Result<(), Stopped> {
        let claim = context.store.claim(&self.name).await?;
        self.standby.claimed(claim.epoch);
        let save_every = SAVE_INTERVAL.min(self.standby.beat());
        let (shared, context) = (self.shared(context), context.clone());
        let mut run = Run::new(shared, self.max_concurrent, save_every, claim, context)?;
        let stopped = run.until_shutdown().await;
        // Nobody drives a saga of an earlier run beside the drivers of a later one.
        run.drivers.shutdown().await;
        match stopped {
            Err(Stopped::Fenced) if run.context.shutdown.is_cancelled() => Ok(()),
            stopped => stopped,
        }
    }

    fn shared(&self, context: &ComponentContext) -> Arc<Shared<S>> {
        Arc::new(Shared {
            definition: self.saga.definition.clone(),
            recorder: Recorder { store: context.store.clone() },
            commands: context.commands.clone(),
            clock: self.clock.clone().unwrap_or_else(|| context.clock.clone()),
            shutdown: context.shutdown.clone(),
            unfinished: Arc::default(),
            late: LateCalls::default(),
            read_to: watch::Sender::default(),
            probe: self.probe.clone(),
            #[cfg(test)]
            calls_before_recording: self.calls_before_recording,
        })
    }
}

#[async_trait]
impl<S: SagaState> Component for SagaManager<S> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        let look = || async {
            let standing = context.store.standing(&self.name).await;
            standing.map(Option::unwrap_or_default).map_err(Stopped::from)
        };
        while self.standby.turn(&context, &self.name, look).await? {
            match self.lead(&context).await {
                Err(Stopped::Fenced) => {}
                led => return Ok(led?),
            }
        }
        Ok(())
    }
}

/// A saga that is open, or is being told something.
struct Slot<S> {
    inbox: Arc<Inbox>,
    /// `None` while it is being driven.
    driver: Option<Driver<S>>,
    is_ready: bool,
}

/// A driver that came to rest.
struct Driven<S> {
    driver: Driver<S>,
    rest: Result<Rest, DriveError>,
}

/// One run of the component, from claim to shutdown.
struct Run<S> {
    shared: Arc<Shared<S>>,
    max_concurrent: usize,
    context: ComponentContext,
    claim: Claim,
    component: String,
    slots: HashMap<StreamId, Slot<S>>,
    ready: VecDeque<StreamId>,
    /// Sagas whose deadline waits for the reading to have come so far.
    overdue: Vec<(GlobalPosition, StreamId)>,
    drivers: JoinSet<Driven<S>>,
    timers: Timers,
    read_to: GlobalPosition,
    saved: GlobalPosition,
    saved_at: Instant,
    save_every: Duration,
    /// Open sagas are stored beside the checkpoint.
    has_told_of_work: bool,
}

impl<S: SagaState> Run<S> {
    fn new(
        shared: Arc<Shared<S>>,
        max_concurrent: usize,
        save_every: Duration,
        claim: Claim,
        context: ComponentContext,
    ) -> Result<Self, ComponentError> {
        let mut run = Self {
            max_concurrent,
            context,
            component: claim.consumer.clone(),
            slots: HashMap::new(),
            ready: VecDeque::new(),
            overdue: Vec::new(),
            drivers: JoinSet::new(),
            timers: Timers::default(),
            read_to: claim.position,
            saved: claim.position,
            saved_at: Instant::now(),
            save_every,
            has_told_of_work: false,
            shared,
            claim,
        };
        run.shared.read_to.send_replace(run.read_to);
        run.wake_open_sagas()?;
        Ok(run)
    }

    async fn until_shutdown(&mut self) -> Result<(), Stopped> {
        let selection = selection(&self.shared.definition);
        let mut log = Subscription::new(self.context.store.clone(), selection, self.claim.position);
        let mut ticks = tokio::time::interval(self.save_every);
        let (clock, shutdown) = (self.shared.clock.clone(), self.shared.shutdown.clone());
        let unfinished = self.shared.unfinished.clone();
        loop {
            self.drive_ready();
            self.report();
            self.save_if_due().await?;
            let may_read = unfinished.count() < MOST_UNFINISHED;
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(driven) = self.drivers.join_next() => self.rest(driven)?,
                page = log.next_page(), if may_read => self.take_page(page.map_err(read_error)?)?,
                saga = self.timers.next(&*clock) => self.make_ready(&saga),
                () = unfinished.change() => {}
                _ = ticks.tick() => {}
            }
        }
        while let Some(driven) = self.drivers.join_next().await {
            self.rest(driven)?;
        }
        self.report();
        self.save().await
    }

    fn take_page(&mut self, page: Page) -> Result<(), ComponentError> {
        for event in page.events {
            self.take_event(Arc::new(event))?;
        }
        self.read_to = page.read_to;
        self.shared.read_to.send_replace(page.read_to);
        let is_read = |(mark, _): &mut (GlobalPosition, _)| *mark <= page.read_to;
        for (_, saga) in self.overdue.extract_if(.., is_read).collect::<Vec<_>>() {
            self.make_ready(&saga);
        }
        Ok(())
    }

    fn take_event(&mut self, event: Arc<RecordedEvent>) -> Result<(), ComponentError> {
        let definition = self.shared.definition.clone();
        if SagaEvent::FROM_OUTSIDE.contains(&event.event_type.as_str()) {
            if event.stream.category() == category_of(&definition.name) {
                self.tell(&event.stream, &event, Signal::Reload);
            }
            return Ok(());
        }
        let unreadable = |source| unreadable(&event, source);
        for start in &definition.starts {
            for (key, state) in start(&event).map_err(unreadable)? {
                self.start(&key, &state, &event)?;
            }
        }
        for cancel in &definition.cancels {
            for key in cancel(&event).map_err(unreadable)? {
                self.tell_key(&key, &event, Signal::Cancel { event: event.clone() });
            }
        }
        for (step, answer) in &definition.answers {
            for key in answer(&event).map_err(unreadable)? {
                let step = definition.steps[*step].name.clone();
                self.tell_key(&key, &event, Signal::Answer { step, event: event.clone() });
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        key: &str,
        state: &S,
        event: &Arc<RecordedEvent>,
    ) -> Result<(), ComponentError> {
        let (stream, unnamed) = match self.stream_of(key, event) {
            Ok(stream) => (stream, None),
            Err(error) => self.stand_in(event, &error)?,
        };
        let (state, unwritten) = match Payload::from_value(state) {
            Ok(state) => (Some(state), None),
            Err(error) => (None, Some(driver::unwritten_state(&error))),
        };
        let reasons: Vec<_> = unnamed.into_iter().chain(unwritten).collect();
        let pause = (!reasons.is_empty()).then(|| reasons.join("; "));
        self.tell(&stream, event, Signal::Start { state, event: event.clone(), pause });
        Ok(())
    }

    /// Where a saga goes whose key can't name a stream: it is recorded, paused, under the id of the
    /// event, so that one hostile key neither stops the others nor is lost.
    fn stand_in(
        &self,
        event: &RecordedEvent,
        error: &InvalidStreamId,
    ) -> Result<(StreamId, Option<String>), ComponentError> {
        let id = own_id(event.stream.tenant().as_ref(), event.id);
        let stream = self
            .stream_of(&id.to_string(), event)
            .map_err(|error| ComponentError::fatal("naming a saga", error))?;
        let reason = format!("its key can't name a stream, so it goes by its event's id: {error}");
        Ok((stream, Some(reason)))
    }

    /// The saga of this key that the event is about: one of its own tenant.
    fn stream_of(&self, key: &str, event: &RecordedEvent) -> Result<StreamId, InvalidStreamId> {
        stream_of(&self.shared.definition.name, key, event.stream.tenant().as_ref())
    }

    fn tell_key(&mut self, key: &str, event: &RecordedEvent, signal: Signal) {
        match self.stream_of(key, event) {
            Ok(stream) => self.tell(&stream, event, signal),
            Err(error) => {
                let total = self.shared.unfinished.count_ignored();
                tracing::warn!(component = self.component, event = %event.id, %error, total,
                    "event ignored: its key can't be that of a saga");
            }
        }
    }

    fn tell(&mut self, saga: &StreamId, event: &RecordedEvent, signal: Signal) {
        let receipt = self.shared.unfinished.receipt(event.position);
        let warm_since = self.shared.commands.warm_since();
        self.slot(saga).inbox.push(Delivery { signal, receipt, warm_since });
        self.make_ready(saga);
    }

    fn slot(&mut self, saga: &StreamId) -> &mut Slot<S> {
        match self.slots.entry(saga.clone()) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(vacant) => {
                let inbox = Arc::<Inbox>::default();
                let driver = Driver {
                    shared: self.shared.clone(),
                    stream: saga.clone(),
                    inbox: inbox.clone(),
                    instance: None,
                    attempts: Attempts::default(),
                    passed: None,
                    warm_since: self.shared.commands.warm_since(),
                };
                vacant.insert(Slot { inbox, driver: Some(driver), is_ready: false })
            }
        }
    }

    /// Queues a saga for being driven, unless it is queued or driven already.
    fn make_ready(&mut self, saga: &StreamId) {
        if let Some(slot) = self.slots.get_mut(saga)
            && slot.driver.is_some()
            && !slot.is_ready
        {
            slot.is_ready = true;
            self.ready.push_back(saga.clone());
        }
    }

    fn drive_ready(&mut self) {
        while self.drivers.len() < self.max_concurrent {
            let Some(saga) = self.ready.pop_front() else {
                return;
            };
            let Some(slot) = self.slots.get_mut(&saga) else {
                continue;
            };
            slot.is_ready = false;
            if let Some(mut driver) = slot.driver.take() {
                self.drivers.spawn(async move {
                    let rest = driver.drive().await;
                    Driven { driver, rest }
                });
            }
        }
    }

    fn rest(&mut self, driven: Result<Driven<S>, JoinError>) -> Result<(), ComponentError> {
        let Driven { driver, rest } = driven
            .map_err(|error| ComponentError::retry("driving a saga: the driver panicked", error))?;
        let saga = driver.stream.clone();
        let rest = rest.map_err(drive_error)?;
        let Some(slot) = self.slots.get_mut(&saga) else {
            return Ok(());
        };
        let has_mail = !slot.inbox.is_empty();
        slot.driver = Some(driver);
        match rest {
            _ if has_mail => self.make_ready(&saga),
            Rest::Absent | Rest::Ended => drop(self.slots.remove(&saga)),
            Rest::Until(Some(due)) => self.timers.set(due, saga),
            Rest::Overdue(mark) if mark <= self.read_to => self.make_ready(&saga),
            Rest::Overdue(mark) => self.overdue.push((mark, saga)),
            Rest::Until(None) | Rest::Stopped => {}
        }
        Ok(())
    }
}

fn selection<S>(definition: &Definition<S>) -> Selection {
    Selection::types(definition.event_types.iter().copied().chain(SagaEvent::FROM_OUTSIDE))
}
