//! Where a database keeps the schemas of what is written to it.

use std::error::Error;

use async_trait::async_trait;

use super::{Break, Compatibility, EventSchema, EventSchemas, LockedEvent, SchemaLock};

/// Why the schemas of a program were not kept. Nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepSchemasError {
    /// The store can't be reached.
    #[error("the schema store is not available")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What is stored isn't what this program understands.
    #[error("the schema of event type {event_type:?} version {version} can't be read")]
    Corrupt {
        /// The type.
        event_type: String,
        /// Its version.
        version: u32,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the program writes or reads breaks with what is stored.
    #[error(
        "event type {event_type:?} version {version} is incompatible with what is stored:\n{first}"
    )]
    Incompatible {
        /// The type.
        event_type: String,
        /// Its version.
        version: u32,
        /// The direction that breaks, the reason, and what to do; there may be more of it.
        first: Break,
    },
}

impl KeepSchemasError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Keeps the schemas of everything that programs write to a log.
///
/// # Contract
/// 1. `keep` MUST compare and add in one transaction that excludes every other `keep`: two programs
///    that start at once both know what the other one added, or the second of them fails.
/// 2. It MUST add all or nothing, and MUST NOT remove anything.
/// 3. `kept` MUST give the shapes of a version in the order in which they were added; of one that
///    was added twice, what the last one says about unknown events.
#[async_trait]
pub trait SchemaStore: Send + Sync {
    /// Everything that was kept.
    ///
    /// # Errors
    /// [`KeepSchemasError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn kept(&self) -> Result<SchemaLock, KeepSchemasError>;

    /// Compares `schemas` with what is kept and, unless that breaks what `compatibility` demands,
    /// adds them.
    ///
    /// # Errors
    /// [`KeepSchemasError`]; nothing was added.
    ///
    /// # Cancel safety
    /// Dropped in flight, all was added or nothing. Call again.
    async fn keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), KeepSchemasError>;
}

impl SchemaLock {
    /// What a [`SchemaStore`] has to add to this record, which is everything that it keeps, for a
    /// program with these schemas. Types that the program doesn't know are none of its business.
    ///
    /// A shape that is kept already is added again if the program does something else with unknown
    /// events: [`SchemaLock::of`] takes the last word about that.
    ///
    /// # Errors
    /// [`KeepSchemasError::Incompatible`].
    pub fn to_keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<Vec<LockedEvent>, KeepSchemasError> {
        let report = self.known_to(schemas).compare(schemas);
        if let Some((change, first)) = report.breaks(compatibility).next() {
            return Err(KeepSchemasError::Incompatible {
                event_type: change.event_type.clone(),
                version: change.version,
                first: first.clone(),
            });
        }
        let is_kept = |schema: &EventSchema| {
            self.events().iter().any(|kept| {
                kept.event_type == schema.event_type
                    && kept.version == schema.version
                    && kept.shapes.contains(&schema.shape)
                    && kept.fails_on_unknown == schemas.fails_on_unknown(&schema.event_type)
            })
        };
        let fresh = schemas.iter().filter(|schema| !is_kept(schema));
        Ok(fresh
            .map(|schema| LockedEvent {
                event_type: schema.event_type.clone(),
                version: schema.version,
                fails_on_unknown: schemas.fails_on_unknown(&schema.event_type),
                shapes: vec![schema.shape.clone()],
            })
            .collect())
    }
}
