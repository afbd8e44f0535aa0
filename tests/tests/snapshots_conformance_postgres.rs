//! The PostgreSQL store keeps every promise of snapshots, on a real server.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::services::{self, Database};
use highwater_tests::{enrol_durable_snapshots, enrol_snapshots};

enrol_snapshots!(postgres, PostgresLog::fresh().await);
enrol_durable_snapshots!(postgres_durably, PostgresLog::fresh().await);

/// A log in a database of its own, which is dropped with it.
struct PostgresLog {
    database: Database,
}

impl PostgresLog {
    async fn fresh() -> Self {
        Self { database: services::postgres().await.fresh_database().await }
    }
}

#[async_trait]
impl LogFactory for PostgresLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        PostgresStore::connect(self.database.url()).await.expect("a log in a database")
    }
}
