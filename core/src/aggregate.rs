//! Aggregates: what decides commands, and evolves by the events that it decided.

use std::fmt::Display;

use crate::{Decision, DecisionContext, Event, InvalidStreamId, SnapshotPolicy, StreamId};

/// A consistency boundary: one thing, such as an order, whose rules always hold.
///
/// Its state is what [`Evolve`] makes of its events; [`Decide`] answers commands from that state
/// alone. Both are pure: no I/O, no clock, no chance. What a decision needs from outside is looked
/// up before it; what must happen outside follows from the events after it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    label = "add `#[derive(Aggregate)]` to this type"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// The category of its streams, such as `order`. Never rename it: stored streams carry it.
    const CATEGORY: &'static str;
    /// What identifies one aggregate of this kind; it is the key of its stream.
    type Id: Display + Send + Sync;
    /// The events it evolves by.
    type Event: Event;
    /// Its way of saying no.
    type Rejection: std::error::Error + Send + Sync + 'static;

    /// When snapshots of the state are taken, so that a long history needn't be read again; `None`:
    /// never. Set by `#[aggregate(snapshot(every = 100, version = 1))]`.
    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = None;
}

/// How an aggregate changes by an event that has happened.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how its events change it",
    label = "write `impl Evolve for {Self} {{ fn evolve(&mut self, event: &…) {{ … }} }}`"
)]
pub trait Evolve: Aggregate {
    /// Applies `event`. It can't fail: the event is history.
    fn evolve(&mut self, event: &Self::Event);
}

/// How an aggregate answers one kind of command.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide `{C}`",
    label = "write `impl Decide<{C}> for {Self}`"
)]
pub trait Decide<C>: Evolve {
    /// Answers with the events that follow, or with a rejection.
    ///
    /// It may be called again with a later state when another writer came first.
    ///
    /// # Errors
    /// The aggregate's rejection: a business "no", not a failure of the system.
    fn decide(&self, command: C, context: &DecisionContext) -> Decision<Self>;
}

/// The stream of the aggregate `A` that `id` names.
///
/// # Errors
/// [`InvalidStreamId`] if the id can't be a stream's key.
pub fn stream_of<A: Aggregate>(id: &A::Id) -> Result<StreamId, InvalidStreamId> {
    StreamId::new(A::CATEGORY, id)
}
