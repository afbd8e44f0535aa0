//! All three stores keep the promises of retention.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::MemoryStore;
use highwater::postgres::PostgresStore;
use highwater::retention::Retention;
use highwater_tests::conformance::retention::RetentionFactory;
use highwater_tests::enrol_retention;
use highwater_tests::services::{self, Database};
use highwater_tests::sqlite_file;
use tempfile::TempDir;

enrol_retention!(memory, MemoryLog::default());
enrol_retention!(sqlite, SqliteLog::fresh());
enrol_retention!(postgres, PostgresLog::fresh().await);

#[derive(Default)]
struct MemoryLog {
    store: Arc<MemoryStore>,
}

#[async_trait]
impl RetentionFactory for MemoryLog {
    async fn open(&self) -> Arc<dyn Retention> {
        self.store.clone()
    }
}

struct SqliteLog {
    directory: TempDir,
}

impl SqliteLog {
    fn fresh() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }
}

#[async_trait]
impl RetentionFactory for SqliteLog {
    async fn open(&self) -> Arc<dyn Retention> {
        sqlite_file::open(self.directory.path()).await
    }
}

struct PostgresLog {
    database: Database,
}

impl PostgresLog {
    async fn fresh() -> Self {
        Self { database: services::postgres().await.fresh_database().await }
    }
}

#[async_trait]
impl RetentionFactory for PostgresLog {
    async fn open(&self) -> Arc<dyn Retention> {
        PostgresStore::connect(self.database.url()).await.expect("a log in a database")
    }
}
