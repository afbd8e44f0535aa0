//! SQLite's result codes, read in this one file.
//!
//! What a code means for an append, a read, a checkpoint or an open is decided by the methods of
//! [`SqliteFault`]; nothing else in this crate looks at a code.

use std::error::Error;

use highwater_core::{
    BatchError, CheckpointError, GlobalPosition, ReadError, SnapshotError, StreamId,
};

// https://www.sqlite.org/rescode.html. The lowest byte of an extended code is the primary one.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// What SQLite ran into, by what can be done about it.
///
/// It stands in the chain of sources of the errors that a store returns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqliteFault {
    /// Another process wrote for longer than the lock timeout.
    #[error("another process holds the file's write lock; try again, or raise the lock timeout")]
    Busy(#[source] sqlx::Error),
    /// There is no room left: on the disk, or below the file's own limit.
    #[error("the disk is full, or the file has reached its limit; make room and append again")]
    Full(#[source] sqlx::Error),
    /// The operating system failed to read or write.
    #[error("the operating system failed to read or write the file; look at the disk")]
    Io(#[source] sqlx::Error),
    /// The file may not be written to.
    #[error("the file, or its directory, may not be written to; check its owner and mode")]
    ReadOnly(#[source] sqlx::Error),
    /// The file can't be opened at all.
    #[error("the file can't be opened; check that its directory exists and may be entered")]
    CantOpen(#[source] sqlx::Error),
    /// The file isn't a database, or is damaged.
    #[error("the file is damaged, or is no SQLite database; restore it from a backup")]
    Corrupt(#[source] sqlx::Error),
    /// Every reading connection stayed in use for too long.
    #[error("all reading connections are in use; try again, or allow more readers")]
    Exhausted(#[source] sqlx::Error),
    /// Anything else.
    #[error("SQLite failed")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for SqliteFault {
    fn from(error: sqlx::Error) -> Self {
        match primary_code(&error) {
            Some(BUSY | LOCKED) => Self::Busy(error),
            Some(FULL) => Self::Full(error),
            Some(IOERR) => Self::Io(error),
            Some(READONLY) => Self::ReadOnly(error),
            Some(CANTOPEN) => Self::CantOpen(error),
            Some(CORRUPT | NOTADB) => Self::Corrupt(error),
            _ if matches!(error, sqlx::Error::PoolTimedOut) => Self::Exhausted(error),
            _ => Self::Other(error),
        }
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

impl SqliteFault {
    /// True if the same may succeed later without anybody repairing the file.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Full(_) | Self::Io(_) | Self::Exhausted(_))
    }

    /// What a batch failed with before its commit was asked for: nothing was written.
    pub(crate) fn before_commit(self) -> BatchError {
        BatchError::Unavailable { source: Box::new(Unwritten(self)) }
    }

    /// What a batch failed with while it was committed.
    ///
    /// A commit that finds the file busy or full has not written its last frame, so it will never
    /// be read. After any other failure, a failed sync above all, the frames may be in the file,
    /// and whoever opens it next may find them.
    pub(crate) fn at_commit(self) -> BatchError {
        match self {
            Self::Busy(_) | Self::Full(_) => self.before_commit(),
            _ => BatchError::OutcomeUnknown { source: Box::new(Unwritten(self)) },
        }
    }

    /// What a read behind `after` failed with.
    pub(crate) fn in_read(self, after: GlobalPosition) -> ReadError {
        match self {
            Self::Corrupt(_) => corrupt(after, self),
            _ => ReadError::Unavailable { source: Box::new(self) },
        }
    }

    /// What reading or writing a stream's snapshots failed with.
    pub(crate) fn of_snapshot(self, stream: &StreamId) -> SnapshotError {
        SnapshotError::Unavailable { stream: stream.clone(), source: Box::new(self) }
    }

    /// What reading or moving a consumer's checkpoint failed with.
    pub(crate) fn of_checkpoint(self, consumer: &str) -> CheckpointError {
        CheckpointError::Unavailable { consumer: consumer.to_owned(), source: Box::new(self) }
    }
}

/// What a batch's error is made of. The pipeline gives one error to many callers and passes on the
/// cause as it is: so the fault is the cause, and callers can look for it.
#[derive(Debug, thiserror::Error)]
#[error("the appends could not be written to the file")]
struct Unwritten(#[source] SqliteFault);

/// What is stored at a position can't be understood.
pub(crate) fn corrupt(
    position: GlobalPosition,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> ReadError {
    ReadError::Corrupt { position, source: source.into() }
}
