//! The memory store and the SQLite store keep every promise about schemas, and a store that compares
//! without excluding others does not.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use highwater::schema::{Compatibility, EventSchemas, KeepSchemasError, SchemaLock, SchemaStore};
use highwater::{EventStore, MemoryStore, StoreLayer};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::schemas::of_rivals_that_break_each_other_one_is_kept;
use highwater_tests::enrol_schemas;
use highwater_tests::sqlite_file;
use tempfile::TempDir;

enrol_schemas!(memory, MemoryLog::default());
enrol_schemas!(sqlite, SqliteLog::fresh());

/// A log in memory: its handles are one store.
#[derive(Default)]
struct MemoryLog {
    store: Arc<MemoryStore>,
}

#[async_trait]
impl LogFactory for MemoryLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }
}

/// A log in a file of its own, which is removed with it.
struct SqliteLog {
    directory: TempDir,
}

impl SqliteLog {
    fn fresh() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory }
    }
}

#[async_trait]
impl LogFactory for SqliteLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        sqlite_file::open(self.directory.path()).await
    }
}

/// Compares first and adds later: others come in between.
#[derive(Default)]
struct Careless {
    kept: Mutex<SchemaLock>,
}

#[async_trait]
impl SchemaStore for Careless {
    async fn kept(&self) -> Result<SchemaLock, KeepSchemasError> {
        Ok(self.kept.lock().expect("nobody panics").clone())
    }

    async fn keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), KeepSchemasError> {
        let missing = self.kept().await?.to_keep(schemas, compatibility)?;
        tokio::task::yield_now().await;
        let mut kept = self.kept.lock().expect("nobody panics");
        *kept = SchemaLock::of(kept.events().iter().cloned().chain(missing));
        Ok(())
    }
}

/// A log with that.
struct CarelessLog {
    log: MemoryStore,
    schemas: Careless,
}

#[async_trait]
impl StoreLayer for CarelessLog {
    fn inner(&self) -> &dyn EventStore {
        &self.log
    }

    fn schemas(&self) -> Option<&dyn SchemaStore> {
        Some(&self.schemas)
    }
}

/// On one thread, so that every rival compares before any of them adds.
#[tokio::test]
#[should_panic(expected = "all of one kind")]
async fn a_store_that_compares_without_a_lock_is_caught() {
    let log = CarelessLog { log: MemoryStore::new(), schemas: Careless::default() };
    of_rivals_that_break_each_other_one_is_kept(Arc::new(log)).await;
}
