//! What a step does, how it can end, and what it is told.
//!
//! Left out: when it does it, which is the driver's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use highwater_core::{
    Command, CommandError, CommandHandler, CommandId, Decide, Metadata, RecordedEvent, StreamId,
};
use jiff::Timestamp;

use crate::RetryPolicy;
use crate::saga_event::StepEffect;

/// How a step's call came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepOutcome<S> {
    /// It took effect. The saga's state is replaced, if a new one is given.
    Done(Option<S>),
    /// The business says no. It had no effect and won't have one: the saga turns back.
    Failed {
        /// Why, for people.
        reason: String,
    },
    /// The business says no, but a part of the step may have taken effect before: the saga turns
    /// back, and undoes this step first.
    FailedPartly {
        /// Why, for people.
        reason: String,
    },
    /// It could not be done just now: it is tried again, by the step's [`RetryPolicy`].
    Retry {
        /// Why, for people.
        reason: String,
    },
    /// It can't be done until somebody mends something: the saga pauses.
    Pause {
        /// Why, for people.
        reason: String,
    },
}

impl<S> StepOutcome<S> {
    /// Done; the state stays as it is.
    #[must_use]
    pub const fn done() -> Self {
        Self::Done(None)
    }

    /// Done; the state is now `state`.
    #[must_use]
    pub const fn done_with(state: S) -> Self {
        Self::Done(Some(state))
    }

    /// The business says no.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into() }
    }

    /// The business says no, and a part may have taken effect.
    #[must_use]
    pub fn failed_partly(reason: impl Into<String>) -> Self {
        Self::FailedPartly { reason: reason.into() }
    }

    /// Not just now.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into() }
    }

    /// Not until somebody mends something.
    #[must_use]
    pub fn pause(reason: impl Into<String>) -> Self {
        Self::Pause { reason: reason.into() }
    }
}

/// How a compensation came out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompensationOutcome<S> {
    /// The step's effect is undone. The saga's state is replaced, if a new one is given.
    Undone(Option<S>),
    /// There was no effect to undo. Should the step's late reply or answer tell of one after all, the
    /// compensation runs again.
    NothingToUndo,
    /// It could not be done just now: it is tried again, by the step's [`RetryPolicy`].
    Retry {
        /// Why, for people.
        reason: String,
    },
    /// It can't be done: the saga pauses, and compensates no step before this one.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl<S> CompensationOutcome<S> {
    /// Undone; the state stays as it is.
    #[must_use]
    pub const fn undone() -> Self {
        Self::Undone(None)
    }

    /// Not just now.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into() }
    }

    /// It can't be done.
    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { reason: reason.into() }
    }
}

/// What a call, or a compensation, is told beside the saga's state.
#[derive(Clone)]
#[non_exhaustive]
pub struct StepContext {
    /// The saga's stream, `saga.<name>-<key>`; its [tenant](StreamId::tenant) is whom the saga acts for.
    pub saga: StreamId,
    /// The step's name.
    pub step: String,
    /// The same in every attempt, also after a crash, and another one for the compensation: what
    /// an outside service recognises a repetition by.
    pub command: CommandId,
    /// 1 for the first attempt since the last transition on record.
    pub attempt: u32,
    /// When the step's deadline passes. `None` in a compensation.
    pub due: Option<Timestamp>,
    /// What is known of the step's effect: for a compensation, what there may be to undo.
    pub effect: StepEffect,
    /// Why the saga turned back, for people. `None` on the way forward.
    pub reason: Option<String>,
    /// The flow that the saga belongs to, for commands that the step executes itself.
    pub metadata: Metadata,
    /// Executes commands against the log, in the tenant that the saga belongs to.
    pub commands: CommandHandler,
}

impl StepContext {
    /// The command id as text, for an `Idempotency-Key` header.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        self.command.to_string()
    }
}

impl fmt::Debug for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepContext")
            .field("saga", &self.saga)
            .field("step", &self.step)
            .field("command", &self.command)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

pub(crate) type Call<S> =
    Arc<dyn Fn(S, StepContext) -> BoxFuture<'static, StepOutcome<S>> + Send + Sync>;
pub(crate) type Undo<S> =
    Arc<dyn Fn(S, StepContext) -> BoxFuture<'static, CompensationOutcome<S>> + Send + Sync>;
pub(crate) type Take<S> = Arc<dyn Fn(&RecordedEvent, S) -> Option<StepOutcome<S>> + Send + Sync>;

/// A step of a definition.
pub(crate) struct Step<S> {
    pub(crate) name: String,
    pub(crate) call: Call<S>,
    /// The call is one command to the log, so the log can settle what became of it.
    pub(crate) is_command: bool,
    pub(crate) undo: Option<Undo<S>>,
    /// How to take the events that answer it; none if it ends with its call.
    pub(crate) answers: Vec<Take<S>>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) is_pivot: bool,
    pub(crate) retry: RetryPolicy,
}

/// Makes a call of a command.
pub(crate) fn command_call<S, C>(make: impl Fn(&S) -> C + Send + Sync + 'static) -> Call<S>
where
    S: Send + Sync + 'static,
    C: Command,
    C::Aggregate: Decide<C>,
{
    let make = Arc::new(make);
    Arc::new(move |state, context| {
        let make = make.clone();
        Box::pin(async move {
            match execute(make(&state), context).await {
                Ok(()) => StepOutcome::Done(None),
                Err(Refusal::Rejected(reason)) => StepOutcome::Failed { reason },
                Err(Refusal::NotNow(reason)) => StepOutcome::Retry { reason },
                Err(Refusal::Never(reason)) => StepOutcome::Pause { reason },
            }
        })
    })
}

/// Makes a compensation of a command.
pub(crate) fn command_undo<S, C>(make: impl Fn(&S) -> C + Send + Sync + 'static) -> Undo<S>
where
    S: Send + Sync + 'static,
    C: Command,
    C::Aggregate: Decide<C>,
{
    let make = Arc::new(make);
    Arc::new(move |state, context| {
        let make = make.clone();
        Box::pin(async move {
            match execute(make(&state), context).await {
                Ok(()) => CompensationOutcome::Undone(None),
                Err(Refusal::NotNow(reason)) => CompensationOutcome::Retry { reason },
                Err(Refusal::Rejected(reason) | Refusal::Never(reason)) => {
                    CompensationOutcome::Failed { reason }
                }
            }
        })
    })
}

enum Refusal {
    Rejected(String),
    NotNow(String),
    Never(String),
}

async fn execute<C>(command: C, context: StepContext) -> Result<(), Refusal>
where
    C: Command,
    C::Aggregate: Decide<C>,
{
    let metadata = context.metadata.with_command(context.command);
    let error = match context.commands.execute_with(command, metadata).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    Err(match &error {
        CommandError::Rejected(rejection) => Refusal::Rejected(with_causes(rejection)),
        _ if error.is_retryable() => Refusal::NotNow(with_causes(&error)),
        _ => Refusal::Never(with_causes(&error)),
    })
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
