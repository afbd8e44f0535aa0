//! A driver with the order of its second rule turned around: it calls a step first, and records the
//! step's start afterwards.
//!
//! Only for the proof that the fault suite notices.

use super::*;

impl<S> Shared<S> {
    /// Keeps the start of the next step out of the transition that leads to it.
    pub(super) fn mutated<'a>(&self, transition: Transition<'a>) -> Transition<'a> {
        let is_transition = !transition.events.is_empty() || transition.cause.is_some();
        match transition.deadline_of {
            Some(_) if self.calls_before_recording && is_transition => {
                Transition { deadline_of: None, ..transition }
            }
            _ => transition,
        }
    }
}

impl<S: SagaState> Driver<S> {
    /// Makes the call of the step whose start is about to be recorded.
    pub(super) async fn call_before_recording(&mut self) -> Result<(), DriveError> {
        if !self.shared.calls_before_recording {
            return Ok(());
        }
        let next = self.instance.as_deref().and_then(|it| it.follow_up(self.now(), |_| None));
        let Some(SagaEvent::StepStarted(next)) = next else {
            return Ok(());
        };
        if let Some(call) = self.prepare_call(next.step).await? {
            call.await;
        }
        Ok(())
    }
}
