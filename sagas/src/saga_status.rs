//! How a saga is doing, for people.

use std::fmt;

use highwater_core::{Payload, StreamVersion, TenantId};

use crate::instance::{Instance, Outcome, Phase};
use crate::saga_event::StepEffect;

/// How far a saga is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SagaPhase {
    /// It goes forward.
    Running,
    /// It undoes its steps.
    Compensating {
        /// Why it turned back.
        reason: String,
    },
    /// It waits for somebody's help.
    Paused {
        /// What for.
        reason: String,
    },
    /// Every step took effect.
    Completed,
    /// Every effect was undone.
    Compensated {
        /// Why it turned back.
        reason: String,
    },
}

impl fmt::Display for SagaPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Compensating { reason } => write!(f, "compensating ({reason})"),
            Self::Paused { reason } => write!(f, "paused ({reason})"),
            Self::Completed => f.write_str("completed"),
            Self::Compensated { reason } => write!(f, "compensated ({reason})"),
        }
    }
}

/// How a step is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepPhase {
    /// It hasn't been started.
    Ahead,
    /// It was started and has no outcome.
    Open,
    /// It took effect.
    Succeeded,
    /// It failed; the effect says what there was to undo.
    Failed(StepEffect),
    /// It was compensated.
    Undone,
    /// Its compensation found nothing to undo.
    NothingToUndo,
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepStatus {
    /// The step's name.
    pub name: String,
    /// How it is doing.
    pub phase: StepPhase,
}

/// How a saga is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SagaStatus {
    /// The saga's key.
    pub key: String,
    /// The tenant that it belongs to.
    pub tenant: Option<TenantId>,
    /// How far it is.
    pub phase: SagaPhase,
    /// Its steps, in order, as they were defined when it started.
    pub steps: Vec<StepStatus>,
    /// What it knows. `None` if its first state can't be stored; it is paused then and says why.
    pub state: Option<Payload>,
    /// How many transitions are on record.
    pub version: StreamVersion,
}

impl SagaStatus {
    pub(crate) fn of(instance: &Instance) -> Self {
        Self {
            key: instance.stream.key().to_owned(),
            tenant: instance.stream.tenant(),
            phase: phase(instance),
            steps: (0..instance.plan.len()).map(|step| step_status(instance, step)).collect(),
            state: instance.state.clone(),
            version: instance.version,
        }
    }

    /// True if it will do nothing any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, SagaPhase::Completed | SagaPhase::Compensated { .. })
    }

    /// True if it waits for somebody's help.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        matches!(self.phase, SagaPhase::Paused { .. })
    }
}

fn phase(instance: &Instance) -> SagaPhase {
    if let Some(reason) = &instance.paused {
        return SagaPhase::Paused { reason: reason.clone() };
    }
    match &instance.phase {
        Phase::Forward => SagaPhase::Running,
        Phase::Compensating { reason } => SagaPhase::Compensating { reason: reason.clone() },
        Phase::Completed => SagaPhase::Completed,
        Phase::Compensated { reason } => SagaPhase::Compensated { reason: reason.clone() },
    }
}

fn step_status(instance: &Instance, step: usize) -> StepStatus {
    let phase = match instance.steps.get(step) {
        None => StepPhase::Ahead,
        Some(record) => match (record.undone, &record.outcome) {
            (Some(true), _) => StepPhase::Undone,
            (Some(false), _) => StepPhase::NothingToUndo,
            (None, Outcome::Open) => StepPhase::Open,
            (None, Outcome::Succeeded) => StepPhase::Succeeded,
            (None, Outcome::Failed(effect)) => StepPhase::Failed(*effect),
        },
    };
    StepStatus { name: instance.name(step).to_owned(), phase }
}
