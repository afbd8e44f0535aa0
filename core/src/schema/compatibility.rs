//! Which programs have to get by with whose events.

use serde::Serialize;

/// Who reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Direction {
    /// The new program reads what older ones wrote.
    Backward,
    /// Older programs read what the new one writes.
    Forward,
}

/// What must not break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compatibility {
    /// The new program reads everything in the log. Less makes no sense for a log that is kept.
    #[default]
    Backward,
    /// Programs of the release before read everything that the new one writes: what a rolling
    /// update needs, where both run side by side.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// Whether this direction must hold.
    #[must_use]
    pub fn demands(self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Full, _) => true,
            (Self::Backward, direction) => direction == Direction::Backward,
            (Self::Forward, direction) => direction == Direction::Forward,
        }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Backward => "BACKWARD",
            Self::Forward => "FORWARD",
        })
    }
}
