//! Commands: intents addressed to one aggregate.

use crate::{Aggregate, CommandId};

/// An intent to change one aggregate.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "add `#[derive(Command)]` and `#[command(aggregate = …)]` to this type"
)]
pub trait Command: Clone + Send + Sync + 'static {
    /// The kind of aggregate that decides it.
    type Aggregate: Aggregate;

    /// Which aggregate decides it.
    fn target(&self) -> &<Self::Aggregate as Aggregate>::Id;

    /// The id under which a repetition of this command is recognised, if the command itself
    /// carries one.
    fn command_id(&self) -> Option<CommandId> {
        None
    }
}
