//! Drives one saga: tells it what has come, does what is to be done, records what came of it.
//!
//! # Who may do what when
//! 1. One driver per saga and manager at a time; it holds the saga's state between the steps, so
//!    that a step costs no read.
//! 2. A call is made only when the start of its step is on record ([`Todo::Call`]), and is made
//!    again under the same id until its outcome is. So a driver may be dropped at any await point.
//! 3. What it holds in memory is read anew before its next use once somebody was forgotten, or when it
//!    is older than warm states may be: between all turns, for one run makes many steps and waits. So
//!    no step begins with what the log no longer shows. A state that came with a delivery counts as
//!    read when the event was handed out.
//! 4. A call that is given up (deadline, cancellation) is never awaited by the saga again; if it
//!    was one to the outside, its late reply is recorded by [`LateCalls`].
//!
//! Left out: which saga is driven when, which is the manager's.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use highwater_core::{
    Clock, CommandHandler, CommandId, EventId, GlobalPosition, Metadata, RecordedEvent, StreamId,
    WarmSince,
};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::DriveError;
use crate::inbox::{Delivery, Inbox, Signal, Unfinished};
use crate::instance::{Instance, Todo};
use crate::late_call::{LateCalls, effect_of};
use crate::probe::{CallKind, Injected, Probe};
use crate::recorder::{Recorded, Recorder, Transition};
use crate::saga::{Definition, SagaState};
use crate::saga_event::{
    AnswerKept, Cancelled, CompensationSucceeded, Ignored, LateReply, Paused, SagaEvent,
    StepEffect, StepSent, StepSettled, StepSucceeded, StepTimedOut, own_id,
};
use crate::step::{Step, StepContext};
use crate::{CompensationOutcome, StepOutcome};

mod calls;
mod signals;
mod starting;

pub(crate) use starting::unwritten_state;

#[cfg(test)]
mod mutant;

/// What all drivers of one manager share.
pub(crate) struct Shared<S> {
    pub(crate) definition: Arc<Definition<S>>,
    pub(crate) recorder: Recorder,
    pub(crate) commands: CommandHandler,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) unfinished: Arc<Unfinished>,
    pub(crate) late: LateCalls,
    /// How far the log has been read; what was found is in the inboxes.
    pub(crate) read_to: watch::Sender<GlobalPosition>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    /// The mutant: calls a step before its start is on record.
    #[cfg(test)]
    pub(crate) calls_before_recording: bool,
}

impl<S> Shared<S> {
    fn deadline_of(&self) -> impl Fn(&str) -> Option<Duration> + Sync {
        |name| self.definition.step(name).and_then(|step| step.deadline)
    }
}

/// Where a driver left its saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There is no such saga.
    Absent,
    /// It has ended.
    Ended,
    /// Nothing is to be done before this time, or before somebody tells it something.
    Until(Option<Timestamp>),
    /// Its deadline has passed, unless the log up to here holds an answer.
    Overdue(GlobalPosition),
    /// The manager is shutting down.
    Stopped,
}

/// How the present attempts at a step or a compensation went. Not on record: a restart counts anew.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempts {
    failed: u32,
    not_before: Option<Timestamp>,
}

pub(crate) struct Driver<S> {
    pub(crate) shared: Arc<Shared<S>>,
    pub(crate) stream: StreamId,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) instance: Option<Box<Instance>>,
    pub(crate) attempts: Attempts,
    /// A deadline that has passed, and a mark of the log from afterwards.
    pub(crate) passed: Option<(Timestamp, GlobalPosition)>,
    /// When the oldest of what the instance holds was read.
    pub(crate) warm_since: WarmSince,
}

impl<S: SagaState> Driver<S> {
    /// Drives until there is nothing to do, and says until when.
    pub(crate) async fn drive(&mut self) -> Result<Rest, DriveError> {
        if self.instance.is_none() {
            self.load().await?;
        }
        loop {
            self.take_deliveries().await?;
            if self.shared.shutdown.is_cancelled() {
                return Ok(Rest::Stopped);
            }
            let Some(instance) = self.instance.as_deref() else {
                return Ok(Rest::Absent);
            };
            let todo = instance.todo();
            if let Some(due) = self.overdue(instance, &todo) {
                let mark = self.mark_behind(due).await?;
                if mark > *self.shared.read_to.borrow() {
                    return Ok(Rest::Overdue(mark));
                }
                if self.inbox.is_empty() {
                    self.time_out().await?;
                }
                continue;
            }
            if instance.follow_up(self.now(), |_| None).is_some() {
                self.record_follow_up().await?;
                continue;
            }
            if let Some(wake) = self.nothing_before(&todo, instance) {
                if self.inbox.is_empty() {
                    return Ok(wake);
                }
                continue;
            }
            self.act(todo).await?;
        }
    }

    /// `Some` if all that can be done with the saga now is to wait.
    fn nothing_before(&self, todo: &Todo, instance: &Instance) -> Option<Rest> {
        let is_too_early = self.attempts.not_before.is_some_and(|time| time > self.now());
        match todo {
            Todo::Rest if instance.has_ended() => Some(Rest::Ended),
            Todo::Rest => Some(Rest::Until(None)),
            Todo::Await(_) => Some(Rest::Until(instance.due())),
            Todo::Call(_) | Todo::Undo(_) if is_too_early => {
                let times = [self.attempts.not_before, instance.due()];
                Some(Rest::Until(times.into_iter().flatten().min()))
            }
            _ => None,
        }
    }

    async fn act(&mut self, todo: Todo) -> Result<(), DriveError> {
        match todo {
            Todo::GiveState => self.give_state().await,
            Todo::Call(step) => self.call(step).await,
            Todo::TakeAnswer(step, event) => self.take_kept_answer(step, event).await,
            Todo::Settle(step) => self.settle(step).await,
            Todo::Undo(step) => self.undo(step).await,
            Todo::Await(_) | Todo::Rest => Ok(()),
        }
    }

    /// Records what follows from a transition that somebody else recorded.
    async fn record_follow_up(&mut self) -> Result<(), DriveError> {
        #[cfg(test)]
        self.call_before_recording().await?;
        self.record(Vec::new(), None).await.map(drop)
    }

    async fn load(&mut self) -> Result<(), DriveError> {
        self.warm_since = self.shared.commands.warm_since();
        self.instance = self.shared.recorder.load(&self.stream).await?.map(Box::new);
        Ok(())
    }

    /// Rule 3.
    async fn load_unless_warm(&mut self) -> Result<(), DriveError> {
        match self.shared.commands.is_still_warm(self.warm_since) {
            true => Ok(()),
            false => self.load().await,
        }
    }

    /// Between how the log as a whole knows an event and how the saga's tenant does.
    fn own(&self, id: EventId) -> EventId {
        own_id(self.stream.tenant().as_ref(), id)
    }

    fn command_id(&self, kind: &str, step: &str) -> CommandId {
        self.shared.recorder.command_id(&self.stream, kind, step)
    }

    /// Executes commands where the saga belongs.
    fn commands(&self) -> CommandHandler {
        match self.stream.tenant() {
            Some(tenant) => self.shared.commands.for_tenant(&tenant),
            None => self.shared.commands.clone(),
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The deadline that has passed. Who has its answer is never late.
    fn overdue(&self, instance: &Instance, todo: &Todo) -> Option<Timestamp> {
        let may_pass = instance.paused.is_none() && !matches!(todo, Todo::TakeAnswer(..));
        instance.due().filter(|due| may_pass && *due <= self.now())
    }

    /// How far the log went at some moment behind `due`, the same each time: a log that goes on doesn't
    /// put the deadline off.
    async fn mark_behind(&mut self, due: Timestamp) -> Result<GlobalPosition, DriveError> {
        if let Some((_, mark)) = self.passed.filter(|(passed, _)| *passed == due) {
            return Ok(mark);
        }
        let mark = self.shared.recorder.store.high_water_mark().await;
        let mark =
            mark.map_err(|source| DriveError::Read { stream: self.stream.to_string(), source })?;
        self.passed = Some((due, mark));
        Ok(mark)
    }

    /// The definition's step for the plan's `step`; `None` if a later definition dropped it.
    fn step(&self, step: usize) -> Option<&Step<S>> {
        let instance = self.instance.as_deref()?;
        self.shared.definition.step(instance.name(step))
    }

    /// Records transitions. True if they are on record as they were meant.
    async fn record(
        &mut self,
        events: Vec<SagaEvent>,
        cause: Option<EventId>,
    ) -> Result<bool, DriveError> {
        Ok(matches!(self.record_barring(events, cause, None).await?, Outcome::Recorded))
    }

    async fn record_barring(
        &mut self,
        events: Vec<SagaEvent>,
        cause: Option<EventId>,
        bars: Option<CommandId>,
    ) -> Result<Outcome, DriveError> {
        let Some(instance) = self.instance.as_deref() else {
            return Ok(Outcome::Overtaken);
        };
        let shared = self.shared.clone();
        let deadline_of = shared.deadline_of();
        let transition =
            Transition { events, cause, bars, now: self.now(), deadline_of: Some(&deadline_of) };
        #[cfg(test)]
        let transition = shared.mutated(transition);
        let recorded = shared.recorder.record(instance, transition).await?;
        self.settle_record(recorded).await
    }

    /// Makes the saga in memory what it is on record.
    async fn settle_record(&mut self, recorded: Recorded) -> Result<Outcome, DriveError> {
        match recorded {
            Recorded::Done(instance) => {
                self.instance = Some(instance);
                self.attempts = Attempts::default();
                Ok(Outcome::Recorded)
            }
            Recorded::Overtaken => {
                self.shared.unfinished.suspect_rival();
                self.attempts = Attempts::default();
                self.load().await?;
                Ok(Outcome::Overtaken)
            }
            Recorded::Taken => Ok(Outcome::Taken),
            Recorded::Refused(why) => {
                self.pause_refused(format!("the store refuses the saga's state: {why}")).await?;
                Ok(Outcome::Overtaken)
            }
        }
    }

    async fn pause(&mut self, reason: String) -> Result<(), DriveError> {
        tracing::error!(saga = %self.stream, reason, "saga paused: it needs somebody's help");
        self.record(vec![paused(reason)], None).await.map(drop)
    }

    /// Pauses a saga whose transition the store refused. The transition holds the saga's state, the
    /// pause only a reason; if the store refuses that as well, there is nothing left to record, and
    /// the manager stops in front of what it can't get on record.
    async fn pause_refused(&mut self, reason: String) -> Result<(), DriveError> {
        let Some(instance) = self.instance.as_deref() else {
            return Ok(());
        };
        tracing::error!(saga = %self.stream, reason, "saga paused: it needs somebody's help");
        let pause = Transition::only(paused(reason.clone()));
        match self.shared.recorder.record(instance, pause).await? {
            Recorded::Refused(why) => {
                Err(DriveError::Refused { stream: self.stream.to_string(), reason, why })
            }
            recorded => Box::pin(self.settle_record(recorded)).await.map(drop),
        }
    }

    async fn time_out(&mut self) -> Result<(), DriveError> {
        let Some(step) = self.instance.as_deref().map(|instance| instance.steps.len() - 1) else {
            return Ok(());
        };
        self.record(vec![SagaEvent::StepTimedOut(StepTimedOut { step })], None).await.map(drop)
    }

    /// Records what is known of the effect of a step that has no outcome and won't get one.
    async fn settle(&mut self, step: usize) -> Result<(), DriveError> {
        let is_command = self.step(step).is_some_and(|step| step.is_command);
        let Some(instance) = self.instance.as_deref() else {
            return Ok(());
        };
        let settled = |effect| vec![SagaEvent::StepSettled(StepSettled { step, effect })];
        // Sent, a command was carried out; a call to the outside has only asked.
        if is_command && instance.steps[step].sent {
            return self.record(settled(StepEffect::Done), None).await.map(drop);
        }
        if !is_command {
            return self.record(settled(StepEffect::Unknown), None).await.map(drop);
        }
        let command = self.command_id("do", instance.name(step));
        let none = settled(StepEffect::None);
        if let Outcome::Taken = self.record_barring(none, None, Some(command)).await? {
            self.record(settled(StepEffect::Done), None).await?;
        }
        Ok(())
    }

    /// Counts a failed attempt: says when the next one is due, or pauses the saga.
    async fn retry_later(&mut self, step: usize, reason: String) -> Result<(), DriveError> {
        self.attempts.failed += 1;
        let failed = self.attempts.failed;
        let pause = self.step(step).and_then(|step| step.retry.pause_after(failed));
        let Some(pause) = pause else {
            return self.pause(format!("gave up after {failed} attempts: {reason}")).await;
        };
        tracing::warn!(saga = %self.stream, step, failed, reason, "will be tried again");
        self.attempts.not_before = Some(later(self.now(), pause));
        Ok(())
    }
}

/// What became of a transition, once the saga in memory is what it is on record.
enum Outcome {
    Recorded,
    Overtaken,
    Taken,
}

fn paused(reason: String) -> SagaEvent {
    SagaEvent::Paused(Paused { reason })
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(pause)
        .ok()
        .and_then(|pause| now.checked_add(pause).ok())
        .unwrap_or(Timestamp::MAX)
}
