//! Schemas of events beside the log.
//!
//! # Invariants
//! 1. What is kept only grows, and only under one lock: whoever adds has compared with everything
//!    that was added before.
//! 2. The lock is taken in a statement of its own, before anything is read: the snapshot of a later
//!    statement holds what the former holder committed.

use std::error::Error;

use async_trait::async_trait;
use deadpool_postgres::{Client, GenericClient};
use highwater_core::schema::{
    Compatibility, EventSchemas, KeepSchemasError, LockedEvent, SchemaLock, SchemaStore,
};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::batch_arrays::Json;
use crate::recorded_row::{JsonText, payload};

/// The other names from 24000 to 24006 are those of migrations and of the log.
const LOCK: &str = "SELECT pg_advisory_xact_lock(24003::bigint << 48)";

const KEPT: &str = "SELECT s.event_type, s.schema_version, s.fails_on_unknown, s.json_schema
    FROM highwater.event_schemas s ORDER BY s.event_type, s.schema_version, s.shape";

const ADD: &str = "INSERT INTO highwater.event_schemas
        (event_type, schema_version, shape, fails_on_unknown, json_schema)
    SELECT $1, $2, 1 + count(*), $3, $4 FROM highwater.event_schemas s
    WHERE s.event_type = $1 AND s.schema_version = $2";

#[async_trait]
impl SchemaStore for PostgresStore {
    async fn kept(&self) -> Result<SchemaLock, KeepSchemasError> {
        read(&self.schema_client().await?).await
    }

    async fn keep(
        &self,
        schemas: &EventSchemas,
        compatibility: Compatibility,
    ) -> Result<(), KeepSchemasError> {
        let mut client = self.schema_client().await?;
        let transaction = client.transaction().await.map_err(unavailable)?;
        // Without it two programs could each find the other's schema absent, and both start.
        transaction.execute(LOCK, &[]).await.map_err(unavailable)?;
        let missing = read(&transaction).await?.to_keep(schemas, compatibility)?;
        for event in &missing {
            add(&transaction, event).await?;
        }
        // A commit whose outcome is unknown is settled by the next call, which finds what is kept.
        transaction.commit().await.map_err(unavailable)
    }
}

impl PostgresStore {
    async fn schema_client(&self) -> Result<Client, KeepSchemasError> {
        self.reads.get().await.map_err(unavailable)
    }
}

async fn read(client: &impl GenericClient) -> Result<SchemaLock, KeepSchemasError> {
    let rows = client.query(KEPT, &[]).await.map_err(unavailable)?;
    let events = rows.iter().map(locked).collect::<Result<Vec<_>, _>>()?;
    Ok(SchemaLock::of(events))
}

fn locked(row: &Row) -> Result<LockedEvent, KeepSchemasError> {
    let event_type: String = row.try_get(0).map_err(unavailable)?;
    let version: i64 = row.try_get(1).map_err(unavailable)?;
    let fails_on_unknown = row.try_get(2).map_err(unavailable)?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    let shape = row.try_get::<_, JsonText<'_>>(3).map_err(unavailable)?;
    let shape = payload(shape).map_err(|error| corrupt(&event_type, version, error))?;
    let shape = shape.to_value().map_err(|error| corrupt(&event_type, version, error))?;
    Ok(LockedEvent { event_type, version, fails_on_unknown, shapes: vec![shape] })
}

async fn add(client: &impl GenericClient, event: &LockedEvent) -> Result<(), KeepSchemasError> {
    let LockedEvent { event_type, version, fails_on_unknown, shapes } = event;
    for shape in shapes {
        let text =
            serde_json::to_string(shape).map_err(|error| corrupt(event_type, *version, error))?;
        let shape = Json::Borrowed(&text);
        client
            .execute(ADD, &[event_type, &i64::from(*version), fails_on_unknown, &shape])
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}

fn corrupt(
    event_type: &str,
    version: u32,
    source: impl Error + Send + Sync + 'static,
) -> KeepSchemasError {
    let event_type = event_type.to_owned();
    KeepSchemasError::Corrupt { event_type, version, source: Box::new(source) }
}

fn unavailable(source: impl Error + Send + Sync + 'static) -> KeepSchemasError {
    KeepSchemasError::Unavailable { source: Box::new(source) }
}
