//! A log in a file that several handles write at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use highwater::sqlite::{SqliteOptions, SqliteStore};

/// SQLite gives the writer's place to whoever asks at the right moment, not to who waits the longest: on a
/// busy machine somebody waits for very long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the log of `folder`.
///
/// # Panics
/// If it doesn't open.
pub async fn open(folder: &Path) -> Arc<SqliteStore> {
    let options = SqliteOptions::new().with_lock_timeout(PATIENCE);
    SqliteStore::open_with(folder.join("log.db"), options).await.expect("a log in a file")
}
