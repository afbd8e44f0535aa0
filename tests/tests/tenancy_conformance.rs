//! Tenants of one log, in memory and in a file, keep every promise of tenancy and of the log.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{EventStore, MemoryStore, TenantStore};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::tenancy::{OneTenantsLog, separate_logs};
use highwater_tests::sqlite_file;
use highwater_tests::{enrol_durable_event_store, enrol_event_store, enrol_tenancy};
use tempfile::TempDir;

enrol_tenancy!(memory, MemoryLog::default());
enrol_tenancy!(sqlite, SqliteLog::fresh());
enrol_event_store!(tenant_of_memory, OneTenantsLog(MemoryLog::default()));
enrol_event_store!(tenant_of_sqlite, OneTenantsLog(SqliteLog::fresh()));
enrol_durable_event_store!(tenant_of_sqlite_durably, OneTenantsLog(SqliteLog::fresh()));

#[test]
fn two_tenants_in_memory_are_as_apart_as_two_logs() {
    separate_logs::check(200, async || MemoryLog::default(), |store| store).unwrap();
}

#[test]
fn two_tenants_in_a_file_are_as_apart_as_two_logs() {
    separate_logs::check(40, async || SqliteLog::fresh(), |store| store).unwrap();
}

/// A wall that leaves tags as they are doesn't pass: the property can fail.
#[test]
fn tenants_whose_tags_meet_are_found_out() {
    let check =
        separate_logs::check(500, async || MemoryLog::default(), TenantStore::without_tag_prefix);
    let difference = check.expect_err("the property holds without the wall: it checks nothing");
    assert!(difference.contains("ConditionFailed"), "{difference}");
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
