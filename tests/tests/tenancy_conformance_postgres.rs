//! Tenants of one log in PostgreSQL keep every promise of tenancy and of the log, on a real server.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::tenancy::{OneTenantsLog, separate_logs};
use highwater_tests::services::{self, Database};
use highwater_tests::{enrol_durable_event_store, enrol_event_store, enrol_tenancy};

enrol_tenancy!(postgres, PostgresLog::fresh().await);
enrol_event_store!(tenant_of_postgres, OneTenantsLog(PostgresLog::fresh().await));
enrol_durable_event_store!(tenant_of_postgres_durably, OneTenantsLog(PostgresLog::fresh().await));

#[test]
fn two_tenants_in_postgres_are_as_apart_as_two_logs() {
    separate_logs::check(12, PostgresLog::fresh, |store| store).unwrap();
}

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
