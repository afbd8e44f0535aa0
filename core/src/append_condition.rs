//! Consistency boundaries that are no aggregate.

use crate::{GlobalPosition, Query};

/// Lets an append succeed only if no event that matches `query` stands behind `after`.
///
/// `after` is how far the log had been read when the decision was made
/// ([`Page::read_to`](crate::Page)): whatever was appended since and matches makes the append fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendCondition {
    /// What the decision depended on.
    pub query: Query,
    /// How far the decision had read.
    pub after: GlobalPosition,
}

impl AppendCondition {
    /// Fails the append if an event behind `after` matches `query`.
    #[must_use]
    pub fn new(query: Query, after: GlobalPosition) -> Self {
        Self { query, after }
    }
}
