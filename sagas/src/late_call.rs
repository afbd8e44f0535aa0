//! Calls to the outside that a saga no longer waits for, and what becomes of their replies.
//!
//! A late reply, or the late answer to a step that waits for an event, is recorded in the saga's
//! stream, where it changes nothing; but if it tells of an effect that the compensation had not
//! found, or can't rule one out, the compensation is due again.
//!
//! Bounded: beyond [`MOST_LATE_CALLS`] a call that is given up is dropped at once.

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use highwater_core::StreamId;
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::StepOutcome;
use crate::driver::Shared;
use crate::recorder::{Recorded, Recorder, Transition};
use crate::saga::SagaState;
use crate::saga_event::{LateReply, SagaEvent, StepEffect};

const MOST_LATE_CALLS: usize = 256;
/// How often a late reply is recorded anew when the saga moves on meanwhile.
const TRIES: usize = 20;

/// The calls that were given up and may still reply. Dropping it drops them.
#[derive(Default)]
pub(crate) struct LateCalls {
    calls: Mutex<JoinSet<()>>,
}

impl LateCalls {
    /// Waits for the call's reply until `limit`, and records it.
    pub(crate) fn follow<S: SagaState>(
        &self,
        shared: &Shared<S>,
        saga: StreamId,
        step: usize,
        is_answered: bool,
        limit: Timestamp,
        call: BoxFuture<'static, StepOutcome<S>>,
    ) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while calls.try_join_next().is_some() {}
        if calls.len() >= MOST_LATE_CALLS {
            tracing::warn!(saga = %saga, step, "too many late calls: this one's reply will be lost");
            return;
        }
        let (clock, recorder) = (shared.clock.clone(), shared.recorder.clone());
        let shutdown = shared.shutdown.clone();
        calls.spawn(async move {
            let outcome = tokio::select! {
                outcome = call => outcome,
                () = clock.sleep_until(limit) => return,
                () = shutdown.cancelled() => return,
            };
            let effect = match effect_of(&outcome) {
                // The call only asked for it.
                StepEffect::Done if is_answered => StepEffect::Unknown,
                effect => effect,
            };
            record(&recorder, &saga, LateReply { step, effect, answer: None }).await;
        });
    }
}

/// What an outcome that came too late says of the step's effect.
pub(crate) fn effect_of<S>(outcome: &StepOutcome<S>) -> StepEffect {
    match outcome {
        StepOutcome::Done(_) => StepEffect::Done,
        StepOutcome::Failed { .. } => StepEffect::None,
        _ => StepEffect::Unknown,
    }
}

async fn record(recorder: &Recorder, saga: &StreamId, reply: LateReply) {
    tracing::info!(saga = %saga, step = reply.step, effect = ?reply.effect, "late reply");
    for _ in 0..TRIES {
        let Ok(Some(instance)) = recorder.load(saga).await else {
            break;
        };
        let transition = Transition::only(SagaEvent::LateReply(reply.clone()));
        match recorder.record(&instance, transition).await {
            Ok(Recorded::Done(_)) => return,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    tracing::error!(saga = %saga, step = reply.step, "a late reply could not be recorded");
}
