//! One saga as its events have made it, and what is to be done next. Pure: no I/O, no clock.
//!
//! # What follows from what
//! 1. A step is called only while its `StepStarted` is the last word on it: the record that it may
//!    have an effect precedes the effect.
//! 2. Forward: an open step is called; a succeeded one is followed by the next, the last one by
//!    `Completed`.
//! 3. Back: first an open step is settled (what is known of its effect?), then every step that had
//!    an effect, or may have had one, is compensated, the last one first; then `Compensated`.
//! 4. A paused saga does nothing until it is resumed; what reaches it meanwhile is kept.
//! 5. Nothing leads back once the pivot has started, unless the pivot itself fails.
//! 6. A compensation that found nothing has looked at some moment while it ran. What shows itself by
//!    the time that it is on record may have come later than that moment: it is looked for again, with
//!    another id, for who is asked may repeat what it said under the first.
//! 7. A saga whose first state could not be stored starts paused and without one. Resumed, it is
//!    given one before anything else; told to turn back, it has nothing to undo.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use highwater_core::{EventId, Metadata, Payload, RecordedEvent, StreamId, StreamVersion};
use jiff::{SignedDuration, Timestamp};

use crate::saga_event::{
    Bare, Paused, PlannedStep, SagaEvent, StepEffect, StepFailed, StepStarted,
};

#[cfg(test)]
mod tests;

/// Which way a saga goes, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Forward,
    Compensating { reason: String },
    Completed,
    Compensated { reason: String },
}

/// How a step that was started came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open,
    Succeeded,
    /// It counts as failed; the effect says what there is to undo.
    Failed(StepEffect),
}

/// A step that was started. Steps start in the plan's order, so its place is its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StepRecord {
    pub(crate) outcome: Outcome,
    pub(crate) due: Option<Timestamp>,
    /// Its call returned, the answer is still to come.
    pub(crate) sent: bool,
    /// An answer that came while the saga was paused.
    answer: Option<EventId>,
    /// `Some(false)`: its compensation found nothing to undo.
    pub(crate) undone: Option<bool>,
    /// How often its effect showed itself after its compensation had found nothing, or meanwhile: each
    /// time its compensation asks anew, under an id of its own.
    pub(crate) undone_in_vain: u32,
    /// What showed itself while its compensation may be under way, which may have looked before.
    late: Option<StepEffect>,
}

impl StepRecord {
    fn note_late(&mut self, effect: StepEffect) {
        match self.undone {
            // What can't be ruled out is looked for again: a compensation may find nothing twice.
            Some(false) => self.open_again(effect),
            None if self.outcome != Outcome::Succeeded => self.late = Some(effect),
            _ => {}
        }
    }

    fn note_compensation(&mut self, undid: bool) {
        match self.late.take() {
            Some(effect) if !undid => self.open_again(effect),
            _ => self.undone = Some(undid),
        }
    }

    fn open_again(&mut self, effect: StepEffect) {
        self.outcome = Outcome::Failed(effect);
        self.undone = None;
        self.undone_in_vain += 1;
    }
}

/// What is to be done with a saga next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// Make its first state again, from the event that started it.
    GiveState,
    /// Make the step's call.
    Call(usize),
    /// Wait for the event that answers the step.
    Await(usize),
    /// The step's answer is in the log: take it.
    TakeAnswer(usize, EventId),
    /// Find out what is known of the open step's effect.
    Settle(usize),
    /// Compensate the step.
    Undo(usize),
    /// Nothing: it is paused, or has ended.
    Rest,
}

/// One saga as its events have made it.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    /// What its first event carries: the flow that it belongs to.
    pub(crate) metadata: Metadata,
    pub(crate) trigger: EventId,
    pub(crate) plan: Vec<PlannedStep>,
    /// `None` until a first state that could not be stored is given after all.
    pub(crate) state: Option<Payload>,
    pub(crate) phase: Phase,
    pub(crate) paused: Option<String>,
    pub(crate) steps: Vec<StepRecord>,
    /// Answers to steps that weren't open when they came, by step.
    early: BTreeMap<usize, EventId>,
    /// The outside events whose consequences are on record.
    consumed: HashSet<EventId>,
}

impl Instance {
    /// The saga that its first event makes; `None` if that isn't how a saga starts.
    pub(crate) fn begin(stream: StreamId, metadata: Metadata, first: SagaEvent) -> Option<Self> {
        let SagaEvent::Started(started) = first else {
            return None;
        };
        Some(Self {
            stream,
            version: StreamVersion::new(1),
            metadata,
            trigger: started.trigger,
            plan: started.plan,
            state: started.state,
            phase: Phase::Forward,
            paused: None,
            steps: Vec::new(),
            early: BTreeMap::new(),
            consumed: HashSet::from([started.trigger]),
        })
    }

    /// Goes on from an event that is in the log, or makes the saga from its first one.
    pub(crate) fn fold(
        folded: Option<Self>,
        recorded: &RecordedEvent,
    ) -> Result<Option<Self>, highwater_core::DecodeError> {
        let mut folded = folded;
        for event in recorded.decode::<SagaEvent>()? {
            folded = match folded {
                None => Self::begin(recorded.stream.clone(), recorded.metadata.clone(), event),
                Some(mut instance) => {
                    instance.apply(event);
                    Some(instance)
                }
            };
        }
        Ok(folded)
    }

    /// Changes by the next event of its stream.
    pub(crate) fn apply(&mut self, event: SagaEvent) {
        self.version = self.version.next();
        match event {
            SagaEvent::Started(_) => {}
            SagaEvent::StateGiven(given) => self.state = Some(given.state),
            SagaEvent::StepStarted(started) => self.steps.push(StepRecord {
                outcome: Outcome::Open,
                due: started.due,
                sent: false,
                answer: None,
                undone: None,
                undone_in_vain: 0,
                late: None,
            }),
            SagaEvent::StepSent(sent) => {
                self.update_state(sent.state);
                self.with_step(sent.step, |step| step.sent = true);
            }
            SagaEvent::StepSucceeded(done) => {
                self.update_state(done.state);
                self.consumed.extend(done.answer);
                self.with_step(done.step, |step| step.outcome = Outcome::Succeeded);
            }
            SagaEvent::StepFailed(failed) => {
                self.consumed.extend(failed.answer);
                let effect = if failed.partly { StepEffect::Unknown } else { StepEffect::None };
                self.with_step(failed.step, |step| step.outcome = Outcome::Failed(effect));
                let reason = format!("step {:?} failed: {}", self.name(failed.step), failed.reason);
                self.turn_back(reason);
            }
            SagaEvent::StepTimedOut(late) => {
                self.turn_back(format!("step {:?} missed its deadline", self.name(late.step)));
            }
            SagaEvent::StepSettled(settled) => self.with_step(settled.step, |step| {
                step.outcome = Outcome::Failed(settled.effect);
            }),
            SagaEvent::AnswerKept(kept) => self.keep_answer(kept.step, kept.event),
            SagaEvent::LateReply(late) => {
                self.consumed.extend(late.answer);
                self.note_late_reply(late.step, late.effect);
            }
            SagaEvent::Ignored(ignored) => self.consumed.extend([ignored.event]),
            SagaEvent::Cancelled(cancelled) => {
                self.consumed.insert(cancelled.event);
                self.paused = None;
                self.turn_back("cancelled".to_owned());
            }
            SagaEvent::CompensationRequested(_) => {
                self.paused = None;
                self.turn_back("compensation was asked for".to_owned());
            }
            SagaEvent::CompensationSucceeded(undone) => {
                self.update_state(undone.state);
                self.with_step(undone.step, |step| step.note_compensation(undone.undid));
            }
            SagaEvent::Paused(paused) => self.paused = Some(paused.reason),
            SagaEvent::Resumed(_) => self.paused = None,
            SagaEvent::Completed(_) => self.phase = Phase::Completed,
            SagaEvent::Compensated(_) => self.end_compensation(),
        }
    }

    fn update_state(&mut self, state: Option<Payload>) {
        if let Some(state) = state {
            self.state = Some(state);
        }
    }

    fn with_step(&mut self, step: usize, change: impl FnOnce(&mut StepRecord)) {
        if let Some(record) = self.steps.get_mut(step) {
            change(record);
        }
    }

    fn turn_back(&mut self, reason: String) {
        if self.phase == Phase::Forward {
            self.phase = Phase::Compensating { reason };
        }
    }

    fn end_compensation(&mut self) {
        if let Phase::Compensating { reason } = &self.phase {
            self.phase = Phase::Compensated { reason: reason.clone() };
        }
    }

    fn keep_answer(&mut self, step: usize, event: EventId) {
        self.consumed.insert(event);
        match self.steps.get_mut(step) {
            Some(record) => record.answer = Some(event),
            None => drop(self.early.insert(step, event)),
        }
    }

    fn note_late_reply(&mut self, step: usize, effect: StepEffect) {
        if effect == StepEffect::None {
            return;
        }
        self.with_step(step, |record| record.note_late(effect));
        if let (Phase::Compensated { reason }, Some(_)) = (&self.phase, self.next_undo()) {
            self.phase = Phase::Compensating { reason: reason.clone() };
        }
    }

    /// The step's name, for people.
    pub(crate) fn name(&self, step: usize) -> &str {
        self.plan.get(step).map_or("?", |planned| planned.name.as_str())
    }

    /// The index of the step called `name`.
    pub(crate) fn step_named(&self, name: &str) -> Option<usize> {
        self.plan.iter().position(|planned| planned.name == name)
    }

    /// True if the consequences of this outside event are on record.
    pub(crate) fn has_consumed(&self, event: EventId) -> bool {
        self.consumed.contains(&event)
    }

    /// True if it will do nothing any more.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Completed | Phase::Compensated { .. })
    }

    /// True if it can't go forward before its first state is given.
    fn lacks_state(&self) -> bool {
        self.phase == Phase::Forward && self.state.is_none()
    }

    /// True if it still goes forward and the pivot hasn't been started.
    pub(crate) fn can_turn_back(&self) -> bool {
        self.phase == Phase::Forward && self.pivot().is_none_or(|step| step >= self.steps.len())
    }

    fn pivot(&self) -> Option<usize> {
        self.plan.iter().position(|planned| planned.pivot)
    }

    fn is_past_pivot(&self) -> bool {
        self.pivot()
            .and_then(|step| self.steps.get(step))
            .is_some_and(|record| record.outcome == Outcome::Succeeded)
    }

    fn open_step(&self) -> Option<usize> {
        let last = self.steps.len().checked_sub(1)?;
        (self.steps[last].outcome == Outcome::Open).then_some(last)
    }

    /// True if `step` was started and has no outcome, and the saga waits for one.
    pub(crate) fn is_open(&self, step: usize) -> bool {
        self.phase == Phase::Forward && self.open_step() == Some(step)
    }

    /// True if `step` is still to come.
    pub(crate) fn is_ahead(&self, step: usize) -> bool {
        self.phase == Phase::Forward && step >= self.steps.len()
    }

    /// True if `step` counts as failed though nobody knows that it had no effect, and no effect of it
    /// was undone: one that shows itself has to be.
    pub(crate) fn is_in_doubt(&self, step: usize) -> bool {
        self.phase != Phase::Forward
            && self.plan.get(step).is_some_and(|planned| planned.undo)
            && self.steps.get(step).is_some_and(|record| {
                let is_known = matches!(
                    record.outcome,
                    Outcome::Succeeded | Outcome::Failed(StepEffect::None)
                );
                !is_known && record.undone != Some(true)
            })
    }

    fn next_undo(&self) -> Option<usize> {
        (0..self.steps.len()).rev().find(|&step| {
            let record = &self.steps[step];
            record.outcome != Outcome::Failed(StepEffect::None)
                && record.undone.is_none()
                && self.plan.get(step).is_some_and(|planned| planned.undo)
        })
    }

    /// The bookkeeping that is due and needs nothing from outside, to be recorded together with
    /// what led to it.
    pub(crate) fn follow_up(
        &self,
        now: Timestamp,
        deadline_of: impl Fn(&str) -> Option<Duration>,
    ) -> Option<SagaEvent> {
        if self.paused.is_some() || self.open_step().is_some() || self.lacks_state() {
            return None;
        }
        match self.phase {
            Phase::Forward => Some(match self.plan.get(self.steps.len()) {
                None => SagaEvent::Completed(Bare {}),
                Some(next) => SagaEvent::StepStarted(StepStarted {
                    step: self.steps.len(),
                    due: deadline_of(&next.name).map(|patience| after(now, patience)),
                }),
            }),
            Phase::Compensating { .. } if self.next_undo().is_none() => {
                Some(SagaEvent::Compensated(Bare {}))
            }
            _ => None,
        }
    }

    /// What is to be done, given that all bookkeeping is on record.
    pub(crate) fn todo(&self) -> Todo {
        if self.paused.is_some() {
            return Todo::Rest;
        }
        match (&self.phase, self.open_step()) {
            (Phase::Forward, None) if self.lacks_state() => Todo::GiveState,
            (Phase::Forward, Some(step)) => self.todo_of_open(step),
            (Phase::Compensating { .. }, Some(step)) => Todo::Settle(step),
            (Phase::Compensating { .. }, None) => self.next_undo().map_or(Todo::Rest, Todo::Undo),
            _ => Todo::Rest,
        }
    }

    fn todo_of_open(&self, step: usize) -> Todo {
        let record = &self.steps[step];
        // An answer from before the step's start may be to another question: the call comes first.
        let early = self.early.get(&step).filter(|_| record.sent);
        match record.answer.as_ref().or(early) {
            Some(&event) => Todo::TakeAnswer(step, event),
            None if record.sent => Todo::Await(step),
            None => Todo::Call(step),
        }
    }

    /// When the open step's deadline passes.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        let step = self.open_step().filter(|_| self.phase == Phase::Forward)?;
        self.steps[step].due
    }

    /// What a "no" to `step` means: the way back, or, behind the pivot, a pause, for there is none.
    pub(crate) fn refused(
        &self,
        step: usize,
        reason: String,
        partly: bool,
        answer: Option<EventId>,
    ) -> SagaEvent {
        if self.is_past_pivot() {
            let name = self.name(step);
            let reason = format!("step {name:?} failed behind the pivot: {reason}");
            return SagaEvent::Paused(Paused { reason });
        }
        SagaEvent::StepFailed(StepFailed { step, reason, partly, answer })
    }
}

fn after(now: Timestamp, patience: Duration) -> Timestamp {
    SignedDuration::try_from(patience)
        .ok()
        .and_then(|patience| now.checked_add(patience).ok())
        .unwrap_or(Timestamp::MAX)
}
