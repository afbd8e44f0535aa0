//! Why an application could not be started.

/// Why an application could not be started. Nothing was: no component has run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two components have one name: they would share health, progress and, where they keep one,
    /// their checkpoint.
    #[error("two components are named {0:?}: give one of them another name")]
    NameTwice(String),
    /// There is no tokio runtime to run the components on.
    #[error("there is no tokio runtime here: start the application within one")]
    NoRuntime,
    /// The program's events break with what is in the log, or with programs that read it.
    #[cfg(feature = "schema")]
    #[error(
        "event type {event_type:?} version {version} is incompatible ({direction}): {reason}; \
         {advice}"
    )]
    IncompatibleEvents {
        /// The type.
        event_type: String,
        /// Its version.
        version: u32,
        /// Who can't read whom.
        direction: crate::schema::Direction,
        /// Why.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// The store could not say what the log's events look like.
    #[cfg(feature = "schema")]
    #[error("could not compare the program's events with those of the log: {why}")]
    SchemasNotKept {
        /// What went wrong.
        why: String,
        /// True if the next start may succeed.
        is_retryable: bool,
    },
    /// The store keeps no schemas.
    #[cfg(feature = "schema")]
    #[error("this store keeps no schemas of events")]
    NoSchemaStore,
}

impl StartError {
    /// Only if a store could not be reached; else it is the program that has to change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            #[cfg(feature = "schema")]
            Self::SchemasNotKept { is_retryable, .. } => *is_retryable,
            _ => false,
        }
    }

    #[cfg(feature = "schema")]
    pub(super) fn of_schemas(error: crate::schema::KeepSchemasError) -> Self {
        use crate::schema::KeepSchemasError::Incompatible;
        match error {
            Incompatible { event_type, version, first } => Self::IncompatibleEvents {
                event_type,
                version,
                direction: first.direction,
                reason: first.reason,
                advice: first.advice,
            },
            error => {
                let mut why = error.to_string();
                let mut cause = std::error::Error::source(&error);
                while let Some(source) = cause {
                    why = format!("{why}: {source}");
                    cause = source.source();
                }
                Self::SchemasNotKept { why, is_retryable: error.is_retryable() }
            }
        }
    }
}
