//! What ends a manager's work, and what the supervisor is told of it.

use highwater_core::{CheckpointError, ComponentError, DecodeError, ReadError, RecordedEvent};

use crate::error::DriveError;

/// What ended a manager's work.
pub(super) enum Stopped {
    /// Another manager has the claim.
    Fenced,
    Failed(ComponentError),
}

impl From<ComponentError> for Stopped {
    fn from(error: ComponentError) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Failed(read_error(error))
    }
}

impl From<CheckpointError> for Stopped {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Fenced { .. } => Self::Fenced,
            error => Self::Failed(checkpoint_error(error)),
        }
    }
}

impl From<Stopped> for ComponentError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Failed(error) => error,
            Stopped::Fenced => Self::retry("holding the claim", "another manager took it"),
        }
    }
}

pub(super) fn unreadable(event: &RecordedEvent, source: DecodeError) -> ComponentError {
    let (id, position) = (event.id, event.position);
    ComponentError::fatal(format!("reading event {id} at position {position}"), source)
}

pub(super) fn read_error(error: ReadError) -> ComponentError {
    if error.is_retryable() {
        ComponentError::retry("reading the log", error)
    } else {
        ComponentError::fatal("reading the log", error)
    }
}

pub(super) fn drive_error(error: DriveError) -> ComponentError {
    if error.is_retryable() {
        ComponentError::retry("driving a saga", error)
    } else {
        ComponentError::fatal("driving a saga", error)
    }
}

fn checkpoint_error(error: CheckpointError) -> ComponentError {
    ComponentError::retry("looking at, claiming or moving the checkpoint", error)
}
