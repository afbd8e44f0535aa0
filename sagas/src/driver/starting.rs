//! The start of a saga, also of one whose first state can't be stored.
//!
//! # What becomes of a start event
//! 1. Its saga is on record with its first state, or on record paused, without one and with the
//!    reason, or the manager stops in front of the event. It is never left out.
//! 2. The state that is missing can be made again at any time from the event, which is in the log.
//!    So resuming the saga, with a definition or a store that was mended, lets it start after all.

use std::error::Error;

use highwater_core::Payload;

use super::*;
use crate::saga_event::{Started, StateGiven, stream_of};
use crate::step::with_causes;

/// Why a saga is paused whose first state can't be turned into JSON.
pub(crate) fn unwritten_state(error: &dyn Error) -> String {
    format!("its first state can't be written: {}", with_causes(error))
}

impl<S: SagaState> Driver<S> {
    pub(super) async fn start(
        &mut self,
        mut state: Option<Payload>,
        event: &RecordedEvent,
        mut pause: Option<String>,
    ) -> Result<(), DriveError> {
        while self.instance.is_none() {
            if let Some(reason) = &pause {
                tracing::error!(saga = %self.stream, event = %event.id, reason,
                    "saga starts paused: it needs somebody's help");
            }
            // A start that was there before is no sign of a rival: this manager may have been here.
            match self.record_start(state.clone(), event, pause.clone()).await? {
                Recorded::Done(instance) => self.instance = Some(instance),
                Recorded::Refused(why) if state.is_some() => {
                    state = None;
                    pause = Some(format!("the store refuses its first state: {why}"));
                }
                Recorded::Refused(why) => {
                    let reason = pause.unwrap_or_default();
                    return Err(DriveError::Refused {
                        stream: self.stream.to_string(),
                        reason: format!("started by event {}: {reason}", event.id),
                        why,
                    });
                }
                Recorded::Overtaken | Recorded::Taken => self.load().await?,
            }
        }
        let id = self.own(event.id);
        let is_ours = self.instance.as_deref().is_some_and(|it| it.trigger == id);
        if !is_ours {
            self.count_ignored(event, "the saga was started by another event before");
        }
        Ok(())
    }

    async fn record_start(
        &self,
        state: Option<Payload>,
        event: &RecordedEvent,
        pause: Option<String>,
    ) -> Result<Recorded, DriveError> {
        let shared = self.shared.clone();
        let deadline_of = shared.deadline_of();
        let started =
            Started { plan: shared.definition.plan(), state, trigger: self.own(event.id) };
        let transition = Transition {
            events: pause.map(paused).into_iter().collect(),
            cause: Some(started.trigger),
            bars: None,
            now: self.now(),
            deadline_of: Some(&deadline_of),
        };
        #[cfg(test)]
        let transition = shared.mutated(transition);
        let metadata = Metadata::caused_by(event);
        shared.recorder.start(&self.stream, metadata, started, transition).await
    }

    /// Gives a saga the first state that could not be stored when it started.
    pub(super) async fn give_state(&mut self) -> Result<(), DriveError> {
        let Some(trigger) = self.instance.as_deref().map(|instance| instance.trigger) else {
            return Ok(());
        };
        let found = self
            .shared
            .recorder
            .store
            .find(&[self.own(trigger)])
            .await
            .map_err(|source| DriveError::Read { stream: self.stream.to_string(), source })?;
        let state = match found.first() {
            Some(event) => self.first_state(event),
            None => Err(format!("the log does not hold the event {trigger} that started it")),
        };
        match state {
            Ok(state) => {
                let given = SagaEvent::StateGiven(StateGiven { state });
                self.record(vec![given], Some(trigger)).await.map(drop)
            }
            Err(reason) => self.pause(reason).await,
        }
    }

    /// The state in which the definition starts this saga by `event`, or why it doesn't.
    fn first_state(&self, event: &RecordedEvent) -> Result<Payload, String> {
        for start in &self.shared.definition.starts {
            let starts = start(event).map_err(|error| with_causes(&error))?;
            let this = starts.into_iter().find(|(key, _)| self.is_started_as(key, event));
            if let Some((_, state)) = this {
                return Payload::from_value(&state).map_err(|error| unwritten_state(&error));
            }
        }
        Err(format!("the definition starts no such saga by event {} any more", event.id))
    }

    /// True if a start of `key` by `event` goes to this stream: by its own name, or by the event's.
    fn is_started_as(&self, key: &str, event: &RecordedEvent) -> bool {
        let tenant = event.stream.tenant();
        match stream_of(&self.shared.definition.name, key, tenant.as_ref()) {
            Ok(stream) => stream == self.stream,
            Err(_) => self.stream.key() == self.own(event.id).to_string(),
        }
    }
}
