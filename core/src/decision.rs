//! What a decision is made with, and what comes of it.

use jiff::Timestamp;

use crate::{Aggregate, CommandId};

/// The outcome of a decision: the events that follow, or a rejection.
pub type Decision<A> = Result<Vec<<A as Aggregate>::Event>, <A as Aggregate>::Rejection>;

/// What a decision may know beside the command and the state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecisionContext {
    /// When the command is decided. Decisions read no clock of their own.
    pub now: Timestamp,
    /// The id of the command.
    pub command: CommandId,
}

impl DecisionContext {
    /// A context for a decision at `now`.
    #[must_use]
    pub fn new(now: Timestamp, command: CommandId) -> Self {
        Self { now, command }
    }
}

/// Decides for one event.
///
/// # Errors
/// Never; the type is that of a decision.
pub fn emit<E, R>(event: E) -> Result<Vec<E>, R> {
    Ok(vec![event])
}

/// Decides for several events, which are appended together or not at all.
///
/// # Errors
/// Never; the type is that of a decision.
pub fn emit_all<E, R>(events: impl IntoIterator<Item = E>) -> Result<Vec<E>, R> {
    Ok(events.into_iter().collect())
}

/// Decides that nothing needs to happen: the command succeeds and appends nothing.
///
/// # Errors
/// Never; the type is that of a decision.
pub fn nothing<E, R>() -> Result<Vec<E>, R> {
    Ok(Vec::new())
}

/// Decides for a "no".
///
/// # Errors
/// Always: the rejection.
pub fn reject<E, R>(rejection: impl Into<R>) -> Result<Vec<E>, R> {
    Err(rejection.into())
}

/// Rejects the command unless a condition holds.
///
/// ```
/// use highwater::{Decision, ensure};
/// # #[derive(Debug, thiserror::Error)] #[error("too late")] struct TooLate;
/// fn check(open: bool) -> Result<(), TooLate> {
///     ensure!(open, TooLate);
///     Ok(())
/// }
/// assert!(check(true).is_ok() && check(false).is_err());
/// ```
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $rejection:expr $(,)?) => {
        if !$condition {
            return ::core::result::Result::Err(::core::convert::Into::into($rejection));
        }
    };
}
