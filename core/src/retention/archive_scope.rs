//! Which part of the log an archive holds, and the proof that it does.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::archived_part::ArchivedPart;
#[cfg(feature = "archive")]
use crate::RecordedEvent;
use crate::{GlobalPosition, StreamId, StreamVersion};

/// Which part of the log an archive holds: a range of positions, or of one stream's versions.
///
/// Behind `after`, up to and including `to`, as everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveScope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<StreamId>,
    after: u64,
    to: u64,
}

impl ArchiveScope {
    /// All events behind `after`, up to and including `to`, that are in the log when it is archived:
    /// what a stream lost before, by truncation, is in no archive of the log that is written later.
    /// Archive the log first, then truncate its streams.
    #[must_use]
    pub fn of_log(after: GlobalPosition, to: GlobalPosition) -> Self {
        Self { stream: None, after: after.get(), to: to.get() }
    }

    /// The events of `stream` behind version `after`, up to and including `to`.
    #[must_use]
    pub fn of_stream(stream: StreamId, after: StreamVersion, to: StreamVersion) -> Self {
        Self { stream: Some(stream), after: after.get(), to: to.get() }
    }

    /// The stream, if it is of one.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }

    /// The position, or version, that it begins behind.
    #[must_use]
    pub fn after(&self) -> u64 {
        self.after
    }

    /// The last position, or version, that it holds.
    #[must_use]
    pub fn to(&self) -> u64 {
        self.to
    }

    /// How many positions, or versions, it spans.
    #[must_use]
    pub fn span(&self) -> u64 {
        self.to.saturating_sub(self.after)
    }

    /// Where an event stands on this scope's scale.
    #[cfg(feature = "archive")]
    pub(super) fn place_of(&self, event: &RecordedEvent) -> u64 {
        match self.stream {
            None => event.position.get(),
            Some(_) => event.version.get(),
        }
    }

    #[cfg(feature = "archive")]
    pub(super) fn part(&self, after: u64, to: u64) -> Self {
        Self { stream: self.stream.clone(), after, to }
    }
}

impl fmt::Display for ArchiveScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.after.saturating_add(1);
        match &self.stream {
            None => write!(f, "positions {first} to {}", self.to),
            Some(stream) => write!(f, "versions {first} to {} of stream {stream}", self.to),
        }
    }
}

/// An archive that was read from its first byte to its last and found whole.
///
/// Only reading it makes one, so whoever holds it has not merely hoped. It proves what the files
/// held at that moment, and that their names are on the disk; keeping them safe afterwards is the
/// operator's.
#[derive(Clone, Debug)]
pub struct VerifiedArchive {
    scope: ArchiveScope,
    /// File by file: they tell whether the archive is of the log at hand.
    parts: Vec<ArchivedPart>,
}

impl VerifiedArchive {
    #[cfg(feature = "archive")]
    pub(super) fn new(scope: ArchiveScope, parts: Vec<ArchivedPart>) -> Self {
        Self { scope, parts }
    }

    /// What it holds.
    #[must_use]
    pub fn scope(&self) -> &ArchiveScope {
        &self.scope
    }

    /// How many events it holds.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.parts.iter().map(ArchivedPart::events).sum()
    }

    pub(super) fn parts(&self) -> &[ArchivedPart] {
        &self.parts
    }
}
