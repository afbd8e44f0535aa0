//! The PostgreSQL store keeps every promise of the log, on a real server.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater_tests::conformance::log::{LogFactory, envelopes, model};
use highwater_tests::services::{self, Database};
use highwater_tests::{enrol_durable_event_store, enrol_event_store};

enrol_event_store!(postgres, PostgresLog::fresh().await);
enrol_durable_event_store!(postgres_durably, PostgresLog::fresh().await);

#[test]
fn postgres_answers_any_sequence_of_appends_as_the_memory_store_does() {
    model::check(20, PostgresLog::fresh);
}

#[test]
fn postgres_gives_every_envelope_back_as_it_was_or_refuses_it() {
    envelopes::check(60, PostgresLog::fresh);
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
