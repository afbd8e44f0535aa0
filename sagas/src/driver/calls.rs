//! Making the calls of steps and compensations, and recording how they came out.

use highwater_core::Payload;

use super::*;

/// Why a call was no longer waited for, if it didn't return.
enum Ended<T> {
    Returned(T),
    Overdue,
    TooLong,
    Delivery,
    Shutdown,
}

impl<S: SagaState> Driver<S> {
    pub(super) async fn call(&mut self, step: usize) -> Result<(), DriveError> {
        let Some(mut call) = self.prepare_call(step).await? else {
            return Ok(());
        };
        let limit = self.attempt_limit(step);
        loop {
            let due = self.instance.as_deref().and_then(Instance::due);
            match self.wait(&mut call, due, limit, true).await {
                Ended::Returned(outcome) => return self.take_outcome(step, outcome, None).await,
                Ended::TooLong => {
                    let reason = "the attempt took longer than its limit".to_owned();
                    return self.retry_later(step, reason).await;
                }
                Ended::Shutdown => return Ok(()),
                Ended::Overdue => {
                    self.time_out().await?;
                    return self.give_up(step, call);
                }
                Ended::Delivery => {
                    self.take_deliveries().await?;
                    let todo = self.instance.as_deref().map(Instance::todo);
                    if todo != Some(Todo::Call(step)) {
                        return self.give_up(step, call);
                    }
                }
            }
        }
    }

    /// Leaves a call to the outside to reply late. A command needs no such care: settling the step
    /// bars it.
    fn give_up(
        &self,
        step: usize,
        call: BoxFuture<'static, StepOutcome<S>>,
    ) -> Result<(), DriveError> {
        let is_outside = self.step(step).is_some_and(|step| !step.is_command);
        if is_outside {
            let (saga, limit) = (self.stream.clone(), self.attempt_limit(step));
            let is_answered = self.is_answered(step);
            self.shared.late.follow(&self.shared, saga, step, is_answered, limit, call);
        }
        Ok(())
    }

    pub(super) async fn undo(&mut self, step: usize) -> Result<(), DriveError> {
        let Some(mut call) = self.prepare_undo(step).await? else {
            return Ok(());
        };
        let limit = self.attempt_limit(step);
        match self.wait(&mut call, None, limit, false).await {
            Ended::Returned(outcome) => self.take_undo_outcome(step, outcome).await,
            Ended::TooLong => {
                self.retry_later(step, "the compensation took longer than its limit".to_owned())
                    .await
            }
            Ended::Overdue | Ended::Delivery | Ended::Shutdown => Ok(()),
        }
    }

    fn is_answered(&self, step: usize) -> bool {
        self.instance.as_deref().is_some_and(|instance| instance.plan[step].answered)
    }

    fn attempt_limit(&self, step: usize) -> Timestamp {
        let limit = self.step(step).map(|step| step.retry.attempt_limit).unwrap_or_default();
        later(self.now(), limit)
    }

    async fn wait<T>(
        &self,
        call: &mut BoxFuture<'static, T>,
        due: Option<Timestamp>,
        limit: Timestamp,
        heeds_deliveries: bool,
    ) -> Ended<T> {
        let clock = &self.shared.clock;
        tokio::select! {
            biased;
            outcome = call => Ended::Returned(outcome),
            () = self.shared.shutdown.cancelled() => Ended::Shutdown,
            () = self.inbox.arrival(), if heeds_deliveries => Ended::Delivery,
            () = self.passes(due.unwrap_or(Timestamp::MAX)), if due.is_some() => Ended::Overdue,
            () = clock.sleep_until(limit) => Ended::TooLong,
        }
    }

    /// Waits for a deadline, and until everything was read that was in the log then.
    async fn passes(&self, due: Timestamp) {
        self.shared.clock.sleep_until(due).await;
        let Ok(mark) = self.shared.recorder.store.high_water_mark().await else {
            // The call goes on until its attempt's limit; behind that, the deadline is looked at again.
            return std::future::pending().await;
        };
        let _ = self.shared.read_to.subscribe().wait_for(|read_to| *read_to >= mark).await;
    }

    /// The call, not yet begun; `None` if it can't be made, which is on record then.
    pub(super) async fn prepare_call(
        &mut self,
        step: usize,
    ) -> Result<Option<BoxFuture<'static, StepOutcome<S>>>, DriveError> {
        let Some((state, context)) = self.prepare(step, "do").await? else {
            return Ok(None);
        };
        let Some(call) = self.step(step).map(|step| step.call.clone()) else {
            return Ok(None);
        };
        let (probe, name) = (self.shared.probe.clone(), context.step.clone());
        let made = async move {
            let mut injected = None;
            if let Some(probe) = &probe {
                injected = probe.before_call(CallKind::Step, &name).await;
            }
            match injected {
                Some(Injected::Fail) => return StepOutcome::failed("injected"),
                Some(Injected::Retry) => return StepOutcome::retry("injected"),
                Some(Injected::FailPartly) | None => {}
            }
            let outcome = call(state, context).await;
            if let Some(probe) = &probe {
                probe.after_call(CallKind::Step).await;
            }
            match injected {
                Some(_) => StepOutcome::failed_partly("injected"),
                None => outcome,
            }
        };
        Ok(Some(Box::pin(
            AssertUnwindSafe(made)
                .catch_unwind()
                .map(|outcome| outcome.unwrap_or_else(|_| StepOutcome::pause("the step panicked"))),
        )))
    }

    async fn prepare_undo(
        &mut self,
        step: usize,
    ) -> Result<Option<BoxFuture<'static, CompensationOutcome<S>>>, DriveError> {
        let in_vain = self.instance.as_deref().map_or(0, |it| it.steps[step].undone_in_vain);
        let kind = match in_vain {
            0 => "undo".to_owned(),
            1 => "undo again".to_owned(),
            times => format!("undo again ({times})"),
        };
        let Some((state, context)) = self.prepare(step, &kind).await? else {
            return Ok(None);
        };
        let Some(undo) = self.step(step).and_then(|step| step.undo.clone()) else {
            let name = context.step;
            self.pause(format!("the definition has no compensation of step {name:?} any more"))
                .await?;
            return Ok(None);
        };
        let (probe, name) = (self.shared.probe.clone(), context.step.clone());
        let made = async move {
            if let Some(probe) = &probe {
                match probe.before_call(CallKind::Undo, &name).await {
                    Some(Injected::Fail) => return CompensationOutcome::failed("injected"),
                    Some(Injected::Retry) => return CompensationOutcome::retry("injected"),
                    Some(Injected::FailPartly) | None => {}
                }
            }
            let outcome = undo(state, context).await;
            if let Some(probe) = &probe {
                probe.after_call(CallKind::Undo).await;
            }
            outcome
        };
        Ok(Some(Box::pin(AssertUnwindSafe(made).catch_unwind().map(|outcome| {
            outcome.unwrap_or_else(|_| CompensationOutcome::failed("the compensation panicked"))
        }))))
    }

    /// The saga's state and what a call of `step` is told; `None` if the saga had to be paused.
    async fn prepare(
        &mut self,
        step: usize,
        kind: &str,
    ) -> Result<Option<(S, StepContext)>, DriveError> {
        let Some(instance) = self.instance.as_deref() else {
            return Ok(None);
        };
        let name = instance.name(step).to_owned();
        if self.shared.definition.step(&name).is_none() {
            self.pause(format!("the definition has no step {name:?} any more")).await?;
            return Ok(None);
        }
        let context = self.context(instance, step, name, kind);
        // A saga without a state is given one before it makes its first call.
        match instance.state.as_ref().map(Payload::to_value) {
            None => Ok(None),
            Some(Ok(state)) => Ok(Some((state, context))),
            Some(Err(error)) => {
                let reason = crate::step::with_causes(&error);
                self.pause(format!("the definition can't read the saga's state: {reason}")).await?;
                Ok(None)
            }
        }
    }

    fn context(&self, instance: &Instance, step: usize, name: String, kind: &str) -> StepContext {
        use crate::instance::{Outcome as StepRecordOutcome, Phase};
        let effect = match instance.steps.get(step).map(|record| &record.outcome) {
            Some(StepRecordOutcome::Succeeded) => StepEffect::Done,
            Some(StepRecordOutcome::Failed(effect)) => *effect,
            _ => StepEffect::Unknown,
        };
        StepContext {
            saga: self.stream.clone(),
            command: self.command_id(kind, &name),
            step: name,
            attempt: self.attempts.failed + 1,
            due: instance.due(),
            effect,
            reason: match &instance.phase {
                Phase::Compensating { reason } => Some(reason.clone()),
                _ => None,
            },
            metadata: instance.metadata.clone(),
            commands: self.commands(),
        }
    }

    /// Records how a step's call, or its answer, came out.
    pub(super) async fn take_outcome(
        &mut self,
        step: usize,
        outcome: StepOutcome<S>,
        answer: Option<EventId>,
    ) -> Result<(), DriveError> {
        match outcome {
            StepOutcome::Done(state) => self.take_success(step, state, answer).await,
            StepOutcome::Failed { reason } => self.take_refusal(step, reason, false, answer).await,
            StepOutcome::FailedPartly { reason } => {
                self.take_refusal(step, reason, true, answer).await
            }
            StepOutcome::Pause { reason } => self.pause(reason).await,
            StepOutcome::Retry { reason } => self.retry_later(step, reason).await,
        }
    }

    async fn take_success(
        &mut self,
        step: usize,
        state: Option<S>,
        answer: Option<EventId>,
    ) -> Result<(), DriveError> {
        let state = match state.map(|state| Payload::from_value(&state)).transpose() {
            Ok(state) => state,
            Err(error) => {
                let reason = crate::step::with_causes(&error);
                return self.pause(format!("the step's new state can't be stored: {reason}")).await;
            }
        };
        let event = if self.is_answered(step) && answer.is_none() {
            SagaEvent::StepSent(StepSent { step, state })
        } else {
            SagaEvent::StepSucceeded(StepSucceeded { step, state, answer })
        };
        self.record(vec![event], answer).await.map(drop)
    }

    async fn take_refusal(
        &mut self,
        step: usize,
        reason: String,
        partly: bool,
        answer: Option<EventId>,
    ) -> Result<(), DriveError> {
        let is_command = self.step(step).is_some_and(|step| step.is_command);
        let Some(instance) = self.instance.as_deref() else {
            return Ok(());
        };
        let event = instance.refused(step, reason.clone(), partly, answer);
        if matches!(event, SagaEvent::Paused(_)) {
            return self.record(vec![event], answer).await.map(drop);
        }
        // Only a command that was never carried out can be barred; an answer says it was.
        let bars =
            (is_command && answer.is_none()).then(|| self.command_id("do", instance.name(step)));
        if let Outcome::Taken = self.record_barring(vec![event], answer, bars).await? {
            // Another driver carried the command out: the next try finds that.
            self.retry_later(step, reason).await?;
        }
        Ok(())
    }

    async fn take_undo_outcome(
        &mut self,
        step: usize,
        outcome: CompensationOutcome<S>,
    ) -> Result<(), DriveError> {
        let (undid, state) = match outcome {
            CompensationOutcome::Undone(state) => (true, state),
            CompensationOutcome::NothingToUndo => (false, None),
            CompensationOutcome::Retry { reason } => return self.retry_later(step, reason).await,
            CompensationOutcome::Failed { reason } => {
                let name = self.instance.as_deref().map(|it| it.name(step).to_owned());
                let name = name.unwrap_or_default();
                return self.pause(format!("compensation of step {name:?} failed: {reason}")).await;
            }
        };
        // The state must not get lost: resumed, the compensation is asked for it again, under the id
        // that it recognises as repeated.
        let state = match state.map(|state| Payload::from_value(&state)).transpose() {
            Ok(state) => state,
            Err(error) => {
                let reason = crate::step::with_causes(&error);
                let reason = format!("the compensation's new state can't be stored: {reason}");
                return self.pause(reason).await;
            }
        };
        let undone = CompensationSucceeded { step, undid, state };
        self.record(vec![SagaEvent::CompensationSucceeded(undone)], None).await.map(drop)
    }
}
