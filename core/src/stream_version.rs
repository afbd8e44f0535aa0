//! Where an event stands in its stream.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The place of an event in its stream: the first event has version 1, the next 2, without gaps.
///
/// The version of a stream is the version of its last event; a stream without events is at
/// [`StreamVersion::EMPTY`]. So a stream's version is the number of events it ever had.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct StreamVersion(u64);

impl StreamVersion {
    /// The version of a stream that has no event.
    pub const EMPTY: Self = Self(0);

    /// A version by its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The version's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version `count` events further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// The version of the next event.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// True if the stream has no event.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for StreamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
