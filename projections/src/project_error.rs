//! Why one event could not be projected.

use std::error::Error;

use highwater_core::DecodeError;

/// Why an event could not be projected. The event is not skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectError {
    /// The stored event can't be read as one of the projection's events.
    #[error("the event can't be read")]
    Decode {
        /// What is wrong with it.
        #[from]
        source: DecodeError,
    },
    /// The read model's database isn't there just now, or stood in its own way (a deadlock).
    #[error("the read model's database could not do it now")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Trying again would end the same way.
    #[error("the projection failed on the event")]
    Failed {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ProjectError {
    /// Try the event again.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }

    /// Stop at the event until somebody mends something.
    pub fn failed(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { source: source.into() }
    }

    /// True if the same event may be projected later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Sorts a database's error into what may pass and what won't, so that `?` does the right thing.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl From<sqlx::Error> for ProjectError {
    fn from(error: sqlx::Error) -> Self {
        match crate::sql::may_pass(&error) {
            true => Self::unavailable(error),
            false => Self::failed(error),
        }
    }
}
