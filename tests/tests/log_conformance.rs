//! The memory store and the SQLite store keep every promise of the log.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{EventStore, MemoryStore};
use highwater_tests::conformance::log::{LogFactory, envelopes, model};
use highwater_tests::sqlite_file;
use highwater_tests::{enrol_durable_event_store, enrol_event_store};
use tempfile::TempDir;

enrol_event_store!(memory, MemoryLog::default());
enrol_event_store!(sqlite, SqliteLog::fresh());
enrol_durable_event_store!(sqlite_durably, SqliteLog::fresh());

#[test]
fn sqlite_answers_any_sequence_of_appends_as_the_memory_store_does() {
    model::check(60, async || SqliteLog::fresh());
}

#[test]
fn memory_gives_every_envelope_back_as_it_was() {
    envelopes::check(100, async || MemoryLog::default());
}

#[test]
fn sqlite_gives_every_envelope_back_as_it_was_or_refuses_it() {
    envelopes::check(100, async || SqliteLog::fresh());
}

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
