//! Brings the schema `highwater` up to date: numbered migrations, each applied once and kept.
//!
//! # Invariants
//! 1. Everything that is missing is applied in one transaction, under an advisory lock: processes
//!    that start at once wait for the first of them and find its work done.
//! 2. A migration's text never changes after a release. Its checksum is stored with its number, and
//!    another text under the same number is an error, not a guess.
//! 3. A database that has migrations which this program doesn't know was migrated by a newer one.
//!    Migrations only ever add, so that the older program goes on while a deployment rolls.

use std::collections::HashMap;

use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::Error;

use crate::ConnectError;

/// The name of the lock under which migrations run (the numbers behind it name the log's own locks).
const MIGRATION_LOCK: i64 = 24_000 << 48;

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }),*]
    };
}

const MIGRATIONS: &[Migration] = migrations![
    1 "0001_events",
    2 "0002_checkpoints",
    3 "0003_high_water_mark",
    4 "0004_matching_positions",
    5 "0005_append_batch",
    6 "0006_checkpoint_beats",
    7 "0007_snapshots",
    8 "0008_event_schemas",
    9 "0009_subject_keys",
    10 "0010_retention",
    11 "0011_partitions",
];

/// Brings the schema up to date. A role that may not change it succeeds if there is nothing to do.
pub(crate) async fn migrate(client: &mut Client) -> Result<(), ConnectError> {
    if missing(&*client).await?.is_empty() {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed("beginning"))?;
    // The statement time-out is made for appends and pages; an index on a large log takes longer.
    transaction
        .batch_execute("SET LOCAL statement_timeout = 0")
        .await
        .map_err(failed("beginning"))?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
        .await
        .map_err(failed("waiting for another process that migrates"))?;
    create_table(&transaction).await.map_err(failed("creating the schema"))?;
    // Asked again under the lock: whoever held it before may have done it all.
    for migration in missing(&transaction).await? {
        apply(&transaction, migration)
            .await
            .map_err(failed(&format!("applying {}", migration.name)))?;
        tracing::info!(migration = migration.name, "applied a migration of the schema highwater");
    }
    transaction.commit().await.map_err(failed("committing"))
}

/// The migrations that the database hasn't seen.
async fn missing(client: &impl GenericClient) -> Result<Vec<&'static Migration>, ConnectError> {
    let applied = applied(client).await.map_err(failed("reading what was applied"))?;
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if let Some(newer) = applied.keys().filter(|version| **version > newest).max() {
        tracing::warn!(
            known = newest,
            found = newer,
            "the schema highwater is newer than this program"
        );
    }
    let mut missing = Vec::new();
    for migration in MIGRATIONS {
        match applied.get(&migration.version) {
            None => missing.push(migration),
            Some(checksum) if *checksum == checksum_of(client, migration).await? => {}
            Some(_) => {
                return Err(ConnectError::MigrationDiffers { version: migration.version });
            }
        }
    }
    Ok(missing)
}

async fn applied(client: &impl GenericClient) -> Result<HashMap<i32, String>, Error> {
    let exists = "SELECT to_regclass('highwater.migrations') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(HashMap::new());
    }
    let rows = client.query("SELECT version, checksum FROM highwater.migrations", &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Made by the server, which has a hash function anyway.
async fn checksum_of(
    client: &impl GenericClient,
    migration: &Migration,
) -> Result<String, ConnectError> {
    let checksum = "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')";
    let row = client.query_one(checksum, &[&migration.sql]).await;
    Ok(row.map_err(failed("comparing what was applied"))?.get(0))
}

async fn create_table(client: &impl GenericClient) -> Result<(), Error> {
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS highwater;
             CREATE TABLE IF NOT EXISTS highwater.migrations (
                 version    integer     PRIMARY KEY,
                 name       text        NOT NULL,
                 checksum   text        NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT now()
             )",
        )
        .await
}

async fn apply(client: &impl GenericClient, migration: &Migration) -> Result<(), Error> {
    client.batch_execute(migration.sql).await?;
    let record = "INSERT INTO highwater.migrations (version, name, checksum)
                  VALUES ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))";
    client.execute(record, &[&migration.version, &migration.name, &migration.sql]).await?;
    Ok(())
}

fn failed(doing: &str) -> impl FnOnce(Error) -> ConnectError {
    let doing = doing.to_owned();
    move |source| ConnectError::Migration { doing, source: Box::new(source) }
}
