//! What a saga makes of the outside events that are meant for it.
//!
//! Every one of them ends on record, or in a count of ignored ones; then its receipt goes back.

use super::*;

impl<S: SagaState> Driver<S> {
    pub(super) async fn take_deliveries(&mut self) -> Result<(), DriveError> {
        loop {
            self.load_unless_warm().await?;
            let Some(Delivery { signal, receipt, warm_since }) = self.inbox.pop() else {
                return Ok(());
            };
            match signal {
                Signal::Start { state, event, pause } => self.start(state, &event, pause).await?,
                Signal::Cancel { event } => self.cancel(&event).await?,
                Signal::Answer { step, event } => self.answer(&step, &event).await?,
                Signal::Reload => self.load().await?,
            }
            self.warm_since = self.warm_since.min(warm_since);
            receipt.hand_back();
        }
    }

    async fn cancel(&mut self, event: &RecordedEvent) -> Result<(), DriveError> {
        let id = self.own(event.id);
        loop {
            let Some(instance) = self.instance.as_deref() else {
                self.count_ignored(event, "there is no such saga to cancel");
                return Ok(());
            };
            if instance.has_consumed(id) {
                return Ok(());
            }
            let transition = if instance.can_turn_back() {
                SagaEvent::Cancelled(Cancelled { event: id })
            } else {
                ignored(id, "the saga can't be cancelled any more")
            };
            if self.record(vec![transition], Some(id)).await? {
                return Ok(());
            }
        }
    }

    async fn answer(&mut self, name: &str, event: &RecordedEvent) -> Result<(), DriveError> {
        let id = self.own(event.id);
        loop {
            let Some(instance) = self.instance.as_deref() else {
                self.count_ignored(event, "there is no such saga to answer");
                return Ok(());
            };
            if instance.has_consumed(id) {
                return Ok(());
            }
            let step = instance.step_named(name);
            let is_resting = instance.paused.is_some();
            let transition = match step {
                Some(step) if instance.is_open(step) && !is_resting => {
                    self.take_answer(step, event).await?;
                    continue;
                }
                Some(step) if instance.is_open(step) || instance.is_ahead(step) => {
                    SagaEvent::AnswerKept(AnswerKept { step, event: id })
                }
                Some(step) if instance.is_in_doubt(step) => self.late_answer(step, event),
                _ => ignored(id, "its step waits for no answer"),
            };
            if self.record(vec![transition], Some(id)).await? {
                return Ok(());
            }
        }
    }

    /// Ends an open step by the event that answers it.
    async fn take_answer(&mut self, step: usize, event: &RecordedEvent) -> Result<(), DriveError> {
        let Some(outcome) = self.read_answer(step, event) else {
            let name = self.instance.as_deref().map(|it| it.name(step).to_owned());
            let name = name.unwrap_or_default();
            return self
                .pause_keeping(step, event, format!("step {name:?} can't read its answer"))
                .await;
        };
        match outcome {
            StepOutcome::Retry { reason } | StepOutcome::Pause { reason } => {
                self.pause_keeping(step, event, reason).await
            }
            outcome => self.take_outcome(step, outcome, Some(self.own(event.id))).await,
        }
    }

    fn read_answer(&self, step: usize, event: &RecordedEvent) -> Option<StepOutcome<S>> {
        let state: S = self.instance.as_deref()?.state.as_ref()?.to_value().ok()?;
        let answers = &self.step(step)?.answers;
        answers.iter().find_map(|take| take(event, state.clone()))
    }

    /// What an answer to a step means that the saga has given up. One that can't be read rules nothing
    /// out.
    fn late_answer(&self, step: usize, event: &RecordedEvent) -> SagaEvent {
        let outcome = self.read_answer(step, event);
        let id = self.own(event.id);
        match outcome.as_ref().map_or(StepEffect::Unknown, effect_of) {
            StepEffect::None => ignored(id, "its step counts as failed already"),
            effect => SagaEvent::LateReply(LateReply { step, effect, answer: Some(id) }),
        }
    }

    /// The answer must not be lost with the pause: it is taken again when the saga is resumed.
    async fn pause_keeping(
        &mut self,
        step: usize,
        event: &RecordedEvent,
        reason: String,
    ) -> Result<(), DriveError> {
        tracing::error!(saga = %self.stream, reason, "saga paused: it needs somebody's help");
        let id = self.own(event.id);
        let kept = SagaEvent::AnswerKept(AnswerKept { step, event: id });
        self.record(vec![kept, paused(reason)], Some(id)).await.map(drop)
    }

    pub(super) async fn take_kept_answer(
        &mut self,
        step: usize,
        event: EventId,
    ) -> Result<(), DriveError> {
        let found = self
            .shared
            .recorder
            .store
            .find(&[self.own(event)])
            .await
            .map_err(|source| DriveError::Read { stream: self.stream.to_string(), source })?;
        match found.first() {
            Some(event) => self.take_answer(step, event).await,
            None => self.pause(format!("the log does not hold the answer {event}")).await,
        }
    }

    pub(super) fn count_ignored(&self, event: &RecordedEvent, why: &str) {
        let total = self.shared.unfinished.count_ignored();
        tracing::info!(saga = %self.stream, event = %event.id, position = %event.position, why,
            total, "event ignored");
    }
}

fn ignored(event: EventId, why: &str) -> SagaEvent {
    SagaEvent::Ignored(Ignored { event, why: why.to_owned() })
}
