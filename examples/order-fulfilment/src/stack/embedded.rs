//! The embedded default: the log in one SQLite file, the read models in another.
//!
//! Two files, because SQLite has one writer per file: so the read models never make the log wait.

use std::path::Path;

use highwater::sqlite::SqliteStore;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::{Log, StackError, master_keys};
use crate::read_models::ReadDatabase;

pub(super) async fn open(folder: &Path) -> Result<(Log, ReadDatabase), StackError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| StackError::Folder { folder: folder.to_owned(), source })?;
    let master_keys = master_keys::of_environment_or(folder)?;
    let store = SqliteStore::open(folder.join("log.db"))
        .await
        .map_err(|error| StackError::connect("the log's SQLite file")(error.into()))?;
    let read = open_read_models(&folder.join("read-models.db"))
        .await
        .map_err(|error| StackError::connect("the read models' SQLite file")(error.into()))?;
    Ok((Log::new(store, master_keys), ReadDatabase::Sqlite(read)))
}

async fn open_read_models(file: &Path) -> Result<SqlitePool, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(std::time::Duration::from_secs(10));
    SqlitePoolOptions::new().max_connections(8).connect_with(options).await
}
