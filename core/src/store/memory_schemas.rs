//! Schemas of events in memory: the model of the schema stores.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::schema::{Compatibility, EventSchemas, KeepSchemasError, SchemaLock, SchemaStore};

/// The schemas of a log in memory.
#[derive(Default)]
pub(super) struct MemorySchemas {
    kept: Mutex<SchemaLock>,
}

#[async_trait]
impl SchemaStore for MemorySchemas {
    async fn kept(&self) -> Result<SchemaLock, KeepSchemasError> {
        Ok(self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), KeepSchemasError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = kept.to_keep(schemas, compatibility)?;
        *kept = SchemaLock::of(kept.events().iter().cloned().chain(missing));
        Ok(())
    }
}
