//! Where an event stands in the one order of the whole log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an event in the log's one order: strictly increasing in order of visibility.
///
/// Positions start at 1. They may skip numbers (an aborted append leaves a gap for ever), so they
/// tell order, not count. [`GlobalPosition::START`] stands before the first event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct GlobalPosition(u64);

impl GlobalPosition {
    /// Before the first event: reading after it reads everything.
    pub const START: Self = Self(0);

    /// A position by its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The position's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for GlobalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
