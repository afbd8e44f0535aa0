//! Brings a file's tables up to what this version needs: numbered files in `migrations/`.
//!
//! What was applied is kept in `highwater_migrations`, so that a user's own migrations in the same
//! file, by sqlx or anything else, are none of its business.
//!
//! Invariant: all of it happens in one transaction that holds the file's write lock from its
//! start. So of several processes that open a new file one migrates and the others find it done,
//! and a crash leaves the file as it was.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr, SqliteConnection};

use crate::OpenError;
use crate::result_code::SqliteFault;

/// Brings the tables up to date.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let failed = |error: sqlx::Error| OpenError::Migrate {
        path: path.to_owned(),
        source: SqliteFault::from(error),
    };
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    apply(&mut transaction).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            OpenError::Foreign { path: path.to_owned(), version }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        other => failed(sqlx::Error::Migrate(Box::new(other))),
    })?;
    transaction.commit().await.map_err(failed)
}

async fn apply(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut migrator = Migrator::with_migrations(vec![
        migration(1, "log", include_str!("../migrations/0001_log.sql")),
        migration(2, "checkpoint beats", include_str!("../migrations/0002_checkpoint_beats.sql")),
        migration(3, "snapshots", include_str!("../migrations/0003_snapshots.sql")),
        migration(4, "event schemas", include_str!("../migrations/0004_event_schemas.sql")),
        migration(5, "subject keys", include_str!("../migrations/0005_subject_keys.sql")),
        migration(6, "retention", include_str!("../migrations/0006_retention.sql")),
    ]);
    migrator.dangerous_set_table_name("highwater_migrations");
    migrator.run_direct(None, connection, false).await
}

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}
