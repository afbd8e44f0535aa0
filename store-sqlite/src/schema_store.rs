//! Schemas of events beside the log. What is kept only grows, and only under the file's write lock:
//! whoever adds has compared with everything that was added before.

use std::error::Error;

use async_trait::async_trait;
use highwater_core::schema::{
    Compatibility, EventSchemas, KeepSchemasError, LockedEvent, SchemaLock, SchemaStore,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection, SqliteExecutor};

use crate::SqliteStore;
use crate::result_code::SqliteFault;

const KEPT: &str = "SELECT event_type, schema_version, fails_on_unknown, json_schema \
    FROM highwater_event_schemas ORDER BY event_type, schema_version, shape";

const ADD: &str = "INSERT INTO highwater_event_schemas \
        (event_type, schema_version, shape, fails_on_unknown, json_schema) \
    SELECT ?1, ?2, 1 + count(*), ?3, ?4 FROM highwater_event_schemas \
    WHERE event_type = ?1 AND schema_version = ?2";

#[async_trait]
impl SchemaStore for SqliteStore {
    async fn kept(&self) -> Result<SchemaLock, KeepSchemasError> {
        read(&self.connections.readers).await
    }

    async fn keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), KeepSchemasError> {
        let mut writer = self.connections.writer().await.map_err(unavailable)?;
        let outcome = compare_and_add(&mut writer.connection, schemas, compatibility).await;
        match outcome {
            Ok(()) => writer.put_back(),
            Err(_) => writer.discard().await,
        }
        outcome
    }
}

async fn compare_and_add(
    connection: &mut SqliteConnection,
    schemas: &EventSchemas,
    compatibility: Compatibility,
) -> Result<(), KeepSchemasError> {
    // The write lock from the start: two programs that read first could each find the other's schema
    // absent, and both start.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let missing = read(&mut *transaction).await?.to_keep(schemas, compatibility)?;
    for event in &missing {
        add(&mut transaction, event).await?;
    }
    transaction.commit().await.map_err(failed)
}

async fn read(from: impl SqliteExecutor<'_>) -> Result<SchemaLock, KeepSchemasError> {
    let rows = sqlx::query(KEPT).fetch_all(from).await.map_err(failed)?;
    let events = rows.iter().map(locked).collect::<Result<Vec<_>, _>>()?;
    Ok(SchemaLock::of(events))
}

fn locked(row: &SqliteRow) -> Result<LockedEvent, KeepSchemasError> {
    let event_type: String = row.try_get(0).map_err(failed)?;
    let version: i64 = row.try_get(1).map_err(failed)?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    let fails_on_unknown = row.try_get(2).map_err(failed)?;
    let shape: String = row.try_get(3).map_err(failed)?;
    let shape =
        serde_json::from_str(&shape).map_err(|error| corrupt(&event_type, version, error))?;
    Ok(LockedEvent { event_type, version, fails_on_unknown, shapes: vec![shape] })
}

async fn add(
    connection: &mut SqliteConnection,
    event: &LockedEvent,
) -> Result<(), KeepSchemasError> {
    let LockedEvent { event_type, version, fails_on_unknown, shapes } = event;
    for shape in shapes {
        let shape =
            serde_json::to_string(shape).map_err(|error| corrupt(event_type, *version, error))?;
        sqlx::query(ADD)
            .bind(event_type.as_str())
            .bind(i64::from(*version))
            .bind(*fails_on_unknown)
            .bind(shape)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    Ok(())
}

fn corrupt(event_type: &str, version: u32, source: serde_json::Error) -> KeepSchemasError {
    let event_type = event_type.to_owned();
    KeepSchemasError::Corrupt { event_type, version, source: Box::new(source) }
}

fn failed(error: sqlx::Error) -> KeepSchemasError {
    unavailable(SqliteFault::from(error))
}

fn unavailable(source: impl Error + Send + Sync + 'static) -> KeepSchemasError {
    KeepSchemasError::Unavailable { source: Box::new(source) }
}
