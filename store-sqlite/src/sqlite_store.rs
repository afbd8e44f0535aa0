//! [`SqliteStore`]: the parts of this crate put together as an `EventStore`.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use highwater_core::{
    Append, AppendError, AppendPipeline, AppendSignal, Appended, CheckpointError, CheckpointStore,
    Claim, EventId, EventStore, GlobalPosition, Page, Payload, ReadError, RecordedEvent, Selection,
    Snapshot, SnapshotError, SnapshotStore, Standing, StateSchema, StreamId, StreamVersion,
};

use crate::batch_writer::Appends;
use crate::connections::Connections;
use crate::high_water_mark::high_water_mark;
use crate::result_code::SqliteFault;
use crate::{OpenError, SqliteOptions, checkpoint_store, read_log, snapshot_store};

/// The log in one SQLite file: durable, for the processes of one machine.
///
/// An acknowledged append has been synced to the disk. Concurrent appends of a process share
/// transactions; those of several processes take turns. Readers never wait for writers.
pub struct SqliteStore {
    pub(crate) connections: Arc<Connections>,
    pipeline: AppendPipeline,
    signal: AppendSignal,
}

impl SqliteStore {
    /// Opens the log in the file at `path`, and creates it if there is none.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file.
    ///
    /// # Cancel safety
    /// The file may exist afterwards, with the log's tables whole or absent. Open it again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open(path: impl AsRef<Path>) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// As [`SqliteStore::open`], with options.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong with the file.
    ///
    /// # Cancel safety
    /// The file may exist afterwards, with the log's tables whole or absent. Open it again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn open_with(
        path: impl AsRef<Path>,
        options: SqliteOptions,
    ) -> Result<Arc<Self>, OpenError> {
        let connections = Arc::new(Connections::open(path.as_ref().to_owned(), &options).await?);
        let signal = AppendSignal::new();
        let appends = Appends::new(connections.clone());
        // The file has one write lock: a second batch in flight would only wait for the first.
        let limits = options.limits.with_batches_in_flight(1);
        let pipeline = AppendPipeline::start(appends, limits, signal.clone());
        Ok(Arc::new(Self { connections, pipeline, signal }))
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.pipeline.append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        read_log::read_stream(&self.connections.readers, stream, after, limit).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        read_log::read_all(&self.connections.readers, selection, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        read_log::find(&self.connections.readers, ids.iter().copied()).await
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        high_water_mark(&self.connections.readers)
            .await
            .map_err(|error| SqliteFault::from(error).in_read(GlobalPosition::START))
    }

    fn signal(&self) -> AppendSignal {
        self.signal.clone()
    }

    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn highwater_core::schema::SchemaStore> {
        Some(self)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(self)
    }

    fn returns_what_was_appended(&self) -> bool {
        true
    }

    async fn close(&self) {
        // Readers and checkpoints go on: consumers may still be finishing what they have read.
        self.pipeline.close().await;
    }
}

#[async_trait]
impl CheckpointStore for SqliteStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        checkpoint_store::claim(&self.connections, consumer).await
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        checkpoint_store::advance(&self.connections, claim, position, state).await
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        checkpoint_store::standing(&self.connections, consumer).await
    }
}

#[async_trait]
impl SnapshotStore for SqliteStore {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        snapshot_store::load(&self.connections, stream, schema, at_most).await
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        snapshot_store::save(&self.connections, snapshot, keep).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        snapshot_store::delete(&self.connections, stream).await
    }
}
