//! The memory store and the SQLite store keep every promise of snapshots, and a store that keeps
//! what was saved last does not.

use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use highwater::{
    EventStore, MemoryStore, Snapshot, SnapshotError, SnapshotStore, StateSchema, StoreLayer,
    StreamId, StreamVersion,
};
use highwater_tests::conformance::log::LogFactory;
use highwater_tests::conformance::snapshots::keeping;
use highwater_tests::sqlite_file;
use highwater_tests::{enrol_durable_snapshots, enrol_snapshots};
use tempfile::TempDir;

enrol_snapshots!(memory, MemoryLog::default());
enrol_snapshots!(sqlite, SqliteLog::fresh());
enrol_durable_snapshots!(sqlite_durably, SqliteLog::fresh());

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
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }
}

#[async_trait]
impl LogFactory for SqliteLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        sqlite_file::open(self.directory.path()).await
    }
}

/// Without the guard: of a stream it keeps what was saved last, whatever its version.
#[derive(Default)]
struct LastWins {
    inner: MemoryStore,
}

impl StoreLayer for LastWins {
    fn inner(&self) -> &dyn EventStore {
        &self.inner
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(self)
    }
}

#[async_trait]
impl SnapshotStore for LastWins {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        self.inner.load_snapshot(stream, schema, at_most).await
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        self.inner.delete_snapshots(&snapshot.stream).await?;
        self.inner.save_snapshot(snapshot, keep).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        self.inner.delete_snapshots(stream).await
    }
}

#[derive(Default)]
struct Unguarded {
    store: Arc<LastWins>,
}

#[async_trait]
impl LogFactory for Unguarded {
    async fn open(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }
}

#[tokio::test]
async fn a_store_that_keeps_what_was_saved_last_is_caught() {
    let log = Unguarded::default();
    let older = AssertUnwindSafe(keeping::an_older_snapshot_never_replaces_a_newer_one(&log));
    assert!(older.catch_unwind().await.is_err());
    let log = Unguarded::default();
    let race = AssertUnwindSafe(keeping::of_many_saves_at_once_the_newest_stays(&log));
    assert!(race.catch_unwind().await.is_err());
}
