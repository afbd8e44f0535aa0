//! The transitions of a saga as its stream records them: the only thing that says how far it is.
//!
//! Left out: what follows from them, which is [`Instance`](crate::instance::Instance)'s.

use highwater_core::{
    DecodeError, Decoded, EncodeError, Event, EventDescriptor, EventId, Payload, StreamId, TenantId,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One step as it stood in the definition when the saga started. The saga keeps to it, whatever
/// becomes of the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlannedStep {
    pub(crate) name: String,
    /// It has a compensation.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) undo: bool,
    /// There is no way back once it succeeded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) pivot: bool,
    /// It ends with an event that answers it, not with its call.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) answered: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What is known of a step's effect once it counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepEffect {
    /// It had none and can have none any more.
    None,
    /// It took effect.
    Done,
    /// It may have taken effect, or may yet: a compensation may find nothing to undo.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) plan: Vec<PlannedStep>,
    /// Absent if it could not be stored: the saga is paused then, and is given one when it is
    /// resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Payload>,
    pub(crate) trigger: EventId,
}

/// The first state, which could not be stored when the saga started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StateGiven {
    pub(crate) state: Payload,
}

/// The record that a step is about to be called, and so that its compensation may be due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepStarted {
    pub(crate) step: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) due: Option<Timestamp>,
}

/// The step's call returned; an event will say how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepSent {
    pub(crate) step: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Payload>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepSucceeded {
    pub(crate) step: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Payload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<EventId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepFailed {
    pub(crate) step: usize,
    pub(crate) reason: String,
    /// A part of it may have taken effect, so its compensation is due.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) partly: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<EventId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepTimedOut {
    pub(crate) step: usize,
}

/// What is known of the effect of a step that never had an outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepSettled {
    pub(crate) step: usize,
    pub(crate) effect: StepEffect,
}

/// An answer that came before its step could take it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AnswerKept {
    pub(crate) step: usize,
    pub(crate) event: EventId,
}

/// A call that was given up replied after all, or its answer came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LateReply {
    pub(crate) step: usize,
    pub(crate) effect: StepEffect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<EventId>,
}

/// An event for this saga that changes nothing any more, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ignored {
    pub(crate) event: EventId,
    pub(crate) why: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cancelled {
    pub(crate) event: EventId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CompensationSucceeded {
    pub(crate) step: usize,
    /// False if it found nothing to undo.
    pub(crate) undid: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Payload>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paused {
    pub(crate) reason: String,
}

/// Events that carry nothing but their name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bare {}

macro_rules! saga_events {
    ($($name:literal => $variant:ident($data:ty),)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum SagaEvent {
            $($variant($data),)*
        }

        impl Event for SagaEvent {
            const TYPES: &'static [EventDescriptor] =
                &[$(EventDescriptor { name: $name, oldest: 1, version: 1 },)*];

            fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }

            fn schema_version(&self) -> u32 {
                1
            }

            fn encode(&self) -> Result<Payload, EncodeError> {
                match self {
                    $(Self::$variant(data) => Payload::from_value(data)
                        .map_err(|source| EncodeError::Data { event_type: $name.into(), source }),)*
                }
            }

            fn decode(
                event_type: &str,
                schema_version: u32,
                data: &Payload,
            ) -> Result<Decoded<Self>, DecodeError> {
                if schema_version > 1 {
                    return Err(DecodeError::UnknownVersion {
                        event_type: event_type.to_owned(),
                        found: schema_version,
                        known: 1,
                    });
                }
                let malformed = |source| DecodeError::Malformed {
                    event_type: event_type.to_owned(),
                    schema_version,
                    source,
                };
                match event_type {
                    $($name => data.to_value().map(Self::$variant).map(Decoded::one).map_err(malformed),)*
                    _ => Err(DecodeError::UnknownType {
                        event_type: event_type.to_owned(),
                        schema_version,
                        family: "SagaEvent",
                    }),
                }
            }
        }
    };
}

saga_events! {
    "saga.started" => Started(Started),
    "saga.state_given" => StateGiven(StateGiven),
    "saga.step_started" => StepStarted(StepStarted),
    "saga.step_sent" => StepSent(StepSent),
    "saga.step_succeeded" => StepSucceeded(StepSucceeded),
    "saga.step_failed" => StepFailed(StepFailed),
    "saga.step_timed_out" => StepTimedOut(StepTimedOut),
    "saga.step_settled" => StepSettled(StepSettled),
    "saga.answer_kept" => AnswerKept(AnswerKept),
    "saga.late_reply" => LateReply(LateReply),
    "saga.ignored" => Ignored(Ignored),
    "saga.cancelled" => Cancelled(Cancelled),
    "saga.compensation_requested" => CompensationRequested(Bare),
    "saga.compensation_succeeded" => CompensationSucceeded(CompensationSucceeded),
    "saga.paused" => Paused(Paused),
    "saga.resumed" => Resumed(Bare),
    "saga.completed" => Completed(Bare),
    "saga.compensated" => Compensated(Bare),
}

impl SagaEvent {
    /// The transitions that somebody else than the saga's driver records: its manager watches the
    /// log for them.
    pub(crate) const FROM_OUTSIDE: [&str; 3] =
        ["saga.resumed", "saga.compensation_requested", "saga.late_reply"];
}

/// The category of the streams of the sagas called `name`.
///
/// A category holds no `-` and a saga's name no `_`, so exchanging them keeps names apart.
pub(crate) fn category_of(name: &str) -> String {
    format!("saga.{}", name.replace('-', "_"))
}

/// The stream of one saga. What an event of a tenant starts is the tenant's.
pub(crate) fn stream_of(
    name: &str,
    key: &str,
    tenant: Option<&TenantId>,
) -> Result<StreamId, highwater_core::InvalidStreamId> {
    let stream = StreamId::new(&category_of(name), key)?;
    Ok(tenant.map_or_else(|| stream.clone(), |tenant| stream.in_tenant(tenant)))
}

/// The id of an event of the whole log as a saga's stream writes it down: as the tenant knows it. The
/// same step leads back.
pub(crate) fn own_id(tenant: Option<&TenantId>, id: EventId) -> EventId {
    tenant.map_or(id, |tenant| tenant.translated(id))
}
