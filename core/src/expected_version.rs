//! What an append demands of its stream.

use std::fmt;

use crate::StreamVersion;

/// What must be true of a stream for an append to it to succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpectedVersion {
    /// Nothing: the events go behind whatever is there.
    Any,
    /// The stream has no event yet.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream stands at exactly this version.
    Exact(StreamVersion),
}

impl ExpectedVersion {
    /// True if a stream at `actual` meets the expectation.
    #[must_use]
    pub fn is_met_by(self, actual: StreamVersion) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_empty(),
            Self::StreamExists => !actual.is_empty(),
            Self::Exact(version) => version == actual,
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}
