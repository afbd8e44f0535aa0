//! Why an archive was not written, or can't be believed.

use std::io;
use std::path::PathBuf;

use super::ArchiveScope;
use crate::{AppendError, EventId, GlobalPosition, ReadError};

/// Why an archive was not written, or can't be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A file or the directory could not be read or written.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The file isn't what was written: cut short, changed, or no archive at all. Restore it from
    /// another copy, or remove it and archive again while the events are in the log.
    #[error("{} is damaged at line {line}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: &'static str,
        /// What found it, if something did.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A newer program wrote the file.
    #[error("{} has format {found}; this program reads format {known}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// No file of the directory goes on here.
    #[error("the archive of {scope} has nothing behind {reached}")]
    Missing {
        /// What was asked for.
        scope: ArchiveScope,
        /// How far the files go.
        reached: u64,
    },
    /// The file has the right name but holds other events than the log, or not all of them: it is of
    /// another log, of another part of this one (a tenant's), or of what this one held before it was
    /// restored from a backup. Put the file aside, it may be all that is left of its events, and
    /// archive again; or archive into another directory.
    #[error(
        "{} isn't of this log as it is now: its events are not the ones in the log; put it aside \
         and archive again, or archive into another directory",
        path.display()
    )]
    ForeignFile {
        /// The file. It was left as it is.
        path: PathBuf,
    },
    /// Only what is final can be archived.
    #[error("the log is final up to position {mark} only; {scope} can't be archived yet")]
    NotFinal {
        /// What was to be archived.
        scope: ArchiveScope,
        /// The high-water mark.
        mark: GlobalPosition,
    },
    /// The store gave an event with personal data in plain text: a layer that opens it names no log
    /// below by [`EventStore::sealed`](crate::EventStore::sealed). Archive the log below.
    #[error("event {event} holds personal data in plain text; archive the log it is sealed in")]
    UnsealedPersonalData {
        /// The event.
        event: EventId,
    },
    /// The log could not be read.
    #[error("the log could not be read for the archive")]
    Read(#[source] ReadError),
}

impl ArchiveError {
    /// True if the same call may succeed later; what was archived before is kept.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Io { .. } | Self::NotFinal { .. } => true,
            Self::Read(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Why an archive was not put back. What was put back before stays, and is recognised when it is
/// tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The archive can't be read.
    #[error("the archive could not be read")]
    Archive(#[source] ArchiveError),
    /// The store refuses an event: another one stands in its place, say, or none before it.
    #[error("event {id} could not be put back")]
    Append {
        /// The event.
        id: EventId,
        /// What the store says.
        #[source]
        source: AppendError,
    },
}

impl RestoreError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_retryable(),
            Self::Append { source, .. } => source.is_retryable(),
        }
    }
}
