//! Snapshots of streams beside the log.
//!
//! # Invariants
//! 1. A snapshot is one row under its own version, written by one statement: it is whole or absent,
//!    and no other version's save touches it but to delete what has become superfluous.
//! 2. What is superfluous is decided by versions, never by who came last.

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::SystemTime;

use async_trait::async_trait;
use deadpool_postgres::Client;
use highwater_core::{
    EventId, Snapshot, SnapshotError, SnapshotStore, StateSchema, StreamId, StreamVersion,
};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::PostgresStore;
use crate::batch_arrays::{Json, to_i64};
use crate::recorded_row::{JsonText, from_i64, payload};
use crate::sqlstate::{Meaning, of_statement};

const LOAD: &str = "SELECT s.version, s.position, s.last_event, s.data, s.taken_at
    FROM highwater.snapshots s
    WHERE s.stream_id = $1 AND s.schema_name = $2 AND s.schema_version = $3 AND s.version <= $4
    ORDER BY s.version DESC LIMIT 1";

const SAVE: &str = "INSERT INTO highwater.snapshots
        (stream_id, schema_name, schema_version, version, position, last_event, data, taken_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (stream_id, schema_name, schema_version, version) DO UPDATE
    SET position = excluded.position, last_event = excluded.last_event, data = excluded.data,
        taken_at = excluded.taken_at";

/// A statement of its own, behind the save: within one statement it wouldn't see the new row. The
/// newest ones stay whoever saves beside it, so two of these at once delete nothing that either keeps.
const PRUNE: &str = "DELETE FROM highwater.snapshots s
    WHERE s.stream_id = $1 AND s.schema_name = $2 AND (s.schema_version < $3
        OR s.schema_version = $3 AND s.version < (
            SELECT n.version FROM highwater.snapshots n
            WHERE n.stream_id = $1 AND n.schema_name = $2 AND n.schema_version = $3
            ORDER BY n.version DESC LIMIT 1 OFFSET $4))";

const DELETE: &str = "DELETE FROM highwater.snapshots s WHERE s.stream_id = $1";

type BoxedError = Box<dyn Error + Send + Sync>;

#[async_trait]
impl SnapshotStore for PostgresStore {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let client = self.snapshot_client(stream).await?;
        let failed = |error: tokio_postgres::Error| unavailable(stream, Box::new(error));
        let statement = client.prepare_cached(LOAD).await.map_err(failed)?;
        let (version, at_most) = (i64::from(schema.version), to_i64(at_most.get()));
        let row = client
            .query_opt(&statement, &[&stream.as_str(), &schema.name.as_ref(), &version, &at_most])
            .await
            .map_err(failed)?;
        row.map(|row| snapshot(stream, schema, &row)).transpose()
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        snapshot.validate()?;
        let stream = &snapshot.stream;
        let client = self.snapshot_client(stream).await?;
        let (id, name) = (stream.as_str(), snapshot.schema.name.as_ref());
        let schema_version = i64::from(snapshot.schema.version);
        let version = to_i64(snapshot.version.get());
        let position = to_i64(snapshot.position.get());
        let last_event = snapshot.last_event.as_uuid();
        let data = Json::Borrowed(snapshot.data.as_json());
        let taken_at = SystemTime::from(snapshot.taken_at);
        let row: [&(dyn ToSql + Sync); 8] =
            [&id, &name, &schema_version, &version, &position, &last_event, &data, &taken_at];
        execute(&client, SAVE, &row).await.map_err(|error| failed(stream, error))?;
        let kept_before = to_i64(keep.get() as u64 - 1);
        execute(&client, PRUNE, &[&id, &name, &schema_version, &kept_before])
            .await
            .map_err(|error| failed(stream, error))
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        let client = self.snapshot_client(stream).await?;
        execute(&client, DELETE, &[&stream.as_str()]).await.map_err(|error| failed(stream, error))
    }
}

impl PostgresStore {
    async fn snapshot_client(&self, stream: &StreamId) -> Result<Client, SnapshotError> {
        self.reads.get().await.map_err(|error| unavailable(stream, Box::new(error)))
    }
}

async fn execute(
    client: &Client,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), tokio_postgres::Error> {
    let statement = client.prepare_cached(sql).await?;
    client.execute(&statement, parameters).await.map(drop)
}

fn snapshot(stream: &StreamId, schema: &StateSchema, row: &Row) -> Result<Snapshot, SnapshotError> {
    let version = version(row).ok();
    snapshot_of(stream, schema, row).map_err(|source| SnapshotError::Corrupt {
        stream: stream.clone(),
        version,
        source,
    })
}

fn snapshot_of(stream: &StreamId, schema: &StateSchema, row: &Row) -> Result<Snapshot, BoxedError> {
    Ok(Snapshot {
        stream: stream.clone(),
        schema: schema.clone(),
        version: version(row)?,
        position: from_i64(row.try_get(1)?),
        last_event: EventId::from_uuid(row.try_get::<_, Uuid>(2)?),
        data: payload(row.try_get::<_, JsonText<'_>>(3)?)?,
        taken_at: Timestamp::try_from(row.try_get::<_, SystemTime>(4)?)?,
    })
}

fn version(row: &Row) -> Result<StreamVersion, tokio_postgres::Error> {
    row.try_get::<_, i64>(0).map(|version| StreamVersion::new(version.unsigned_abs()))
}

/// A write that failed. Whether it was carried out doesn't matter: a snapshot more or less.
fn failed(stream: &StreamId, error: tokio_postgres::Error) -> SnapshotError {
    match of_statement(&error) {
        Meaning::Refused => {
            SnapshotError::Refused { stream: stream.clone(), source: Box::new(error) }
        }
        Meaning::Interfered | Meaning::Unavailable | Meaning::OutcomeUnknown => {
            unavailable(stream, Box::new(error))
        }
    }
}

fn unavailable(stream: &StreamId, source: BoxedError) -> SnapshotError {
    SnapshotError::Unavailable { stream: stream.clone(), source }
}
