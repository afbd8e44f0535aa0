//! Why a log file can't be opened.

use std::path::PathBuf;

use crate::result_code::SqliteFault;

/// Why a log file can't be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// SQLite can't open the file, or not as a database.
    #[error("the log {} can't be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: SqliteFault,
    },
    /// The file can't have a write-ahead log: it is `:memory:`, or on a network file system.
    #[error(
        "the log {} can't have a write-ahead log (SQLite chose the journal mode {mode}); \
         put it into a file on a local disk, or use the memory store",
        path.display()
    )]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
        /// What SQLite chose instead.
        mode: String,
    },
    /// The tables of the log can't be brought up to what this version of the library needs.
    #[error("the tables of the log {} can't be migrated", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: SqliteFault,
    },
    /// A newer version of the library has migrated the file, or its migrations were changed.
    #[error(
        "the log {} was written by another version of this library: its migration {version} is \
         not the one that is known here; open it with that version or a later one",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The migration that isn't known or differs.
        version: i64,
    },
}

impl OpenError {
    /// True if opening the same file may succeed later, without anybody repairing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Migrate { source, .. } => source.is_retryable(),
            Self::Foreign { .. } | Self::NoWriteAheadLog { .. } => false,
        }
    }
}
