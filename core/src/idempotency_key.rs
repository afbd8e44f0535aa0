//! What the code of `#[derive(Command)]` takes as an idempotency key.
//!
//! Not part of the public interface.

use crate::CommandId;

/// A field under which a repetition of a command is recognised.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be an idempotency key",
    label = "make this a `CommandId` or an `Option<CommandId>`",
    note = "`CommandId::from_key` makes one of a caller's own key"
)]
pub trait IdempotencyKey {
    /// The command's id, if there is one.
    fn command_id(&self) -> Option<CommandId>;
}

impl IdempotencyKey for CommandId {
    fn command_id(&self) -> Option<CommandId> {
        Some(*self)
    }
}

impl IdempotencyKey for Option<CommandId> {
    fn command_id(&self) -> Option<CommandId> {
        *self
    }
}
