//! Consistency boundaries that are no aggregate: what a decision depends on is a query, not a stream.
//!
//! This module owns the road from a rule to an append: [`DecisionModel`] (what a rule must know, a
//! fold with its own query), tuples of them ([`DecisionModels`]), [`Boundary`] (a model as the log
//! has made it, good for one append) and [`Boundaries`] (load, decide, append; again if somebody
//! else came first). Left out: how a store checks an [`AppendCondition`](crate::AppendCondition);
//! that is the store's fourth promise.
//!
//! # Why no matching event slips between the decision and its append
//! Let Q be the query of the models, R the position up to which they were read (`read_to`), and P
//! the place of the append in the log's order.
//! 1. One Q. It is taken from the models once, before the first event; the pages are selected by it
//!    and the condition carries it. What a model does with its fields afterwards changes neither.
//! 2. At or before R, everything is known. A page shows every match up to its `read_to`, and none
//!    appears there later (the log's first promise, which is why reads end at the high-water mark).
//!    Each page begins where the last one ended, so together they show every match up to R. That
//!    they were read at different moments does no harm: a prefix of the log doesn't change.
//! 3. Behind R, nothing passes. The condition is (Q, R). Whatever matches and stands behind R in
//!    front of P, be it committed above the mark while we read, in flight then, or made since,
//!    fails the append (the fourth promise), also if it is decided at the same moment.
//!    A further try goes on from the state of the last one, by the same rule: it reads the pages
//!    behind R, and R becomes their end.
//! 4. Every match in front of P is at or before R, or behind it. So whoever is let through decided
//!    on all of them.
//!
//! Reading only up to the mark can therefore make a decision old, never wrong: an event above the
//! mark costs a further try. And that is all a slow append in flight costs here, too.

mod boundary_event;
mod composition;
mod decision_model;
mod event_query;

#[cfg(feature = "runtime")]
mod boundaries;
#[cfg(feature = "runtime")]
mod boundary_error;
#[cfg(feature = "runtime")]
mod handed_on;
#[cfg(feature = "runtime")]
mod loaded;
#[cfg(feature = "runtime")]
mod reading;
#[cfg(feature = "runtime")]
mod repetition;
#[cfg(feature = "runtime")]
mod turnstiles;

pub use boundary_event::{BoundaryEvent, UnfiledEvent};
pub use composition::DecisionModels;
pub use decision_model::DecisionModel;
pub use event_query::{EventQuery, named};

#[cfg(feature = "runtime")]
pub use boundaries::{Boundaries, BoundaryReceipt};
#[cfg(feature = "runtime")]
pub use boundary_error::{AppendWithinError, BoundaryError, LoadBoundaryError};
#[cfg(feature = "runtime")]
pub use loaded::Boundary;

#[cfg(test)]
#[cfg(feature = "runtime")]
mod tests;
