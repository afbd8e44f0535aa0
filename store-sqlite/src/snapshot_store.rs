//! Snapshots of streams beside the log: each a row under its own version.

use std::num::NonZeroUsize;

use highwater_core::{
    EventId, GlobalPosition, Payload, Snapshot, SnapshotError, StateSchema, StreamId, StreamVersion,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};
use uuid::Uuid;

use crate::connections::Connections;
use crate::recorded_row::{column_limit, column_number};
use crate::result_code::SqliteFault;

/// Reads the newest snapshot of a stream and schema at or below a version.
pub(crate) async fn load(
    connections: &Connections,
    stream: &StreamId,
    schema: &StateSchema,
    at_most: StreamVersion,
) -> Result<Option<Snapshot>, SnapshotError> {
    let row = sqlx::query(
        "SELECT version, position, last_event, data, taken_at_us FROM highwater_snapshots \
         WHERE stream_id = ? AND schema_name = ? AND schema_version = ? AND version <= ? \
         ORDER BY version DESC LIMIT 1",
    )
    .bind(stream.as_str())
    .bind(schema.name.as_ref())
    .bind(i64::from(schema.version))
    .bind(column_number(at_most.get()))
    .fetch_optional(&connections.readers)
    .await
    .map_err(|error| SqliteFault::from(error).of_snapshot(stream))?;
    row.map(|row| snapshot(stream, schema, &row)).transpose()
}

fn snapshot(
    stream: &StreamId,
    schema: &StateSchema,
    row: &SqliteRow,
) -> Result<Snapshot, SnapshotError> {
    let version = version(row).ok();
    snapshot_of(stream, schema, row).map_err(|source| SnapshotError::Corrupt {
        stream: stream.clone(),
        version,
        source,
    })
}

fn snapshot_of(
    stream: &StreamId,
    schema: &StateSchema,
    row: &SqliteRow,
) -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Snapshot {
        stream: stream.clone(),
        schema: schema.clone(),
        version: version(row)?,
        position: GlobalPosition::new(row.try_get::<i64, _>(1)?.unsigned_abs()),
        last_event: EventId::from_uuid(Uuid::from_slice(row.try_get(2)?)?),
        data: Payload::from_json(row.try_get(3)?)?,
        taken_at: Timestamp::from_microsecond(row.try_get(4)?)?,
    })
}

fn version(row: &SqliteRow) -> Result<StreamVersion, sqlx::Error> {
    row.try_get::<i64, _>(0).map(|version| StreamVersion::new(version.unsigned_abs()))
}

/// Keeps a snapshot and deletes those that it makes superfluous, together.
pub(crate) async fn save(
    connections: &Connections,
    snapshot: &Snapshot,
    keep: NonZeroUsize,
) -> Result<(), SnapshotError> {
    snapshot.validate()?;
    let failed = |fault: SqliteFault| fault.of_snapshot(&snapshot.stream);
    let mut writer = connections.writer().await.map_err(failed)?;
    match write(&mut writer.connection, snapshot, keep).await {
        Ok(()) => {
            writer.put_back();
            Ok(())
        }
        Err(error) => {
            writer.discard().await;
            Err(failed(error.into()))
        }
    }
}

async fn write(
    connection: &mut SqliteConnection,
    snapshot: &Snapshot,
    keep: NonZeroUsize,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let (stream, schema) = (snapshot.stream.as_str(), &snapshot.schema);
    sqlx::query(
        "INSERT OR REPLACE INTO highwater_snapshots (stream_id, schema_name, schema_version, \
         version, position, last_event, data, taken_at_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(stream)
    .bind(schema.name.as_ref())
    .bind(i64::from(schema.version))
    .bind(column_number(snapshot.version.get()))
    .bind(column_number(snapshot.position.get()))
    .bind(snapshot.last_event.as_uuid().as_bytes().as_slice())
    .bind(snapshot.data.as_json())
    .bind(snapshot.taken_at.as_microsecond())
    .execute(&mut *transaction)
    .await?;
    // By version, never by who came last: a late save of an old state must not cost the new one.
    sqlx::query(
        "DELETE FROM highwater_snapshots WHERE stream_id = ?1 AND schema_name = ?2 \
         AND (schema_version < ?3 OR schema_version = ?3 AND version < ( \
             SELECT version FROM highwater_snapshots \
             WHERE stream_id = ?1 AND schema_name = ?2 AND schema_version = ?3 \
             ORDER BY version DESC LIMIT 1 OFFSET ?4))",
    )
    .bind(stream)
    .bind(schema.name.as_ref())
    .bind(i64::from(schema.version))
    .bind(column_limit(keep.get() - 1))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Deletes all snapshots of a stream.
pub(crate) async fn delete(
    connections: &Connections,
    stream: &StreamId,
) -> Result<(), SnapshotError> {
    let failed = |fault: SqliteFault| fault.of_snapshot(stream);
    let mut writer = connections.writer().await.map_err(failed)?;
    let outcome = sqlx::query("DELETE FROM highwater_snapshots WHERE stream_id = ?")
        .bind(stream.as_str())
        .execute(&mut writer.connection)
        .await;
    match outcome {
        Ok(_) => {
            writer.put_back();
            Ok(())
        }
        Err(error) => {
            writer.discard().await;
            Err(failed(error.into()))
        }
    }
}
