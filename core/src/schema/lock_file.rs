//! The record of schemas as a file beside the code: `events.lock.json`.

use std::io;
use std::path::{Path, PathBuf};

use super::{Compatibility, EventSchemas, InvalidSchemaLock, SchemaLock, SchemaReport};

/// The file that a domain crate keeps its schemas in. It belongs into version control, so that a
/// review shows every change of an event.
///
/// What blocks here is the file system; it is for tests and commands, not for a service.
#[derive(Clone, Debug)]
pub struct SchemaLockFile {
    path: PathBuf,
}

/// Why the schemas aren't as the file says, or couldn't be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaLockError {
    /// The file can't be read or written.
    #[error("could not access the lock file {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file isn't a lock.
    #[error("could not understand the lock file {path}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidSchemaLock,
    },
    /// The program breaks what the file records.
    #[error("the events break what {path} records:\n{report}")]
    Breaks {
        /// The file.
        path: PathBuf,
        /// All changes, those that break nothing among them.
        report: SchemaReport,
    },
    /// Nothing breaks, but the file doesn't have it all yet.
    #[error("the events changed since {path} was written: lock them and commit the file\n{report}")]
    Outdated {
        /// The file.
        path: PathBuf,
        /// The changes.
        report: SchemaReport,
    },
}

impl SchemaLockError {
    /// The changes, if that is what is wrong.
    #[must_use]
    pub fn report(&self) -> Option<&SchemaReport> {
        match self {
            Self::Breaks { report, .. } | Self::Outdated { report, .. } => Some(report),
            Self::File { .. } | Self::Invalid { .. } => None,
        }
    }

    /// Never: a file or the program has to change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}

impl SchemaLockFile {
    /// The file at `path`, which need not exist yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the file has every schema, and that nothing breaks.
    ///
    /// # Errors
    /// [`SchemaLockError`]: `Breaks`, or `Outdated` if only the file is behind.
    pub fn check(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), SchemaLockError> {
        let report = self.read()?.compare(schemas);
        if report.is_empty() {
            return Ok(());
        }
        let path = self.path.clone();
        Err(match report.is_compatible(compatibility) {
            true => SchemaLockError::Outdated { path, report },
            false => SchemaLockError::Breaks { path, report },
        })
    }

    /// Adds to the file what changed, if nothing breaks. To break something knowingly (it was never
    /// released, say), remove its entry from the file by hand first.
    ///
    /// # Errors
    /// [`SchemaLockError`]; then the file is as it was.
    pub fn lock(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<SchemaReport, SchemaLockError> {
        let lock = self.read()?;
        let report = lock.compare(schemas);
        let path = self.path.clone();
        if !report.is_compatible(compatibility) {
            return Err(SchemaLockError::Breaks { path, report });
        }
        std::fs::write(&path, lock.with(schemas).to_json())
            .map_err(|source| SchemaLockError::File { path, source })?;
        Ok(report)
    }

    fn read(&self) -> Result<SchemaLock, SchemaLockError> {
        let path = || self.path.clone();
        match std::fs::read_to_string(&self.path) {
            Ok(text) => SchemaLock::parse(&text)
                .map_err(|source| SchemaLockError::Invalid { path: path(), source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(SchemaLock::default()),
            Err(source) => Err(SchemaLockError::File { path: path(), source }),
        }
    }
}
