//! The connections of one store: one that writes, and a few that read.
//!
//! # Invariants
//! 1. Whoever writes takes the writing connection out of its place and puts it back only after its
//!    transaction has ended well. A failure, a panic or a dropped future therefore closes the
//!    connection, which rolls back whatever was open, and the next writer opens a new one. Nobody
//!    ever finds a transaction that somebody else has begun; SQLite ends transactions by itself on
//!    some errors (a full disk) and not on others, and nothing here has to know on which.
//! 2. The lock around the place is fair, so checkpoints and batches take turns.
//! 3. Reading connections can't write, and in write-ahead mode they wait for no writer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, MutexGuard};

use crate::migrator::migrate;
use crate::result_code::SqliteFault;
use crate::{OpenError, SqliteOptions};

/// SQLite's own size of a page, which new files get.
const PAGE_BYTES: u64 = 4096;
/// Past this the write-ahead log is cut back once it has been carried over.
const MAX_IDLE_WAL_BYTES: u64 = 64 * 1024 * 1024;
/// How many rows a connection's thread may be ahead of who reads them. With fewer than a page has, the
/// two threads wait for each other again and again: a third of the speed.
const ROWS_AHEAD: usize = 8_192;
/// How long between two tries to open a file that another process is just creating.
const OPEN_RETRY: Duration = Duration::from_millis(10);

/// The connections to one file.
pub(crate) struct Connections {
    writer: Mutex<Option<SqliteConnection>>,
    writing: SqliteConnectOptions,
    pub(crate) readers: SqlitePool,
}

impl Connections {
    /// Opens the file, creates it if there is none, and migrates it.
    pub(crate) async fn open(path: PathBuf, options: &SqliteOptions) -> Result<Self, OpenError> {
        let writing = writing(&path, options);
        let mut writer = first_connection(&writing, &path, options.lock_timeout).await?;
        check_write_ahead_log(&mut writer, &path).await?;
        migrate(&mut writer, &path).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers)
            .acquire_timeout(options.connection_wait)
            // They are on this machine, and a broken one fails its next statement.
            .test_before_acquire(false)
            .connect_lazy_with(base(&path, options).read_only(true));
        Ok(Self { writer: Mutex::new(Some(writer)), writing, readers })
    }

    /// Waits for its turn to write.
    pub(crate) async fn writer(&self) -> Result<Writer<'_>, SqliteFault> {
        let mut place = self.writer.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.writing.connect().await?,
        };
        Ok(Writer { place, connection })
    }
}

/// The writing connection, taken out of its place.
pub(crate) struct Writer<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    pub(crate) connection: SqliteConnection,
}

impl Writer<'_> {
    /// Puts the connection back: no transaction is open on it.
    pub(crate) fn put_back(mut self) {
        *self.place = Some(self.connection);
    }

    /// Closes the connection and waits until it is, so that the next writer finds no lock of ours.
    pub(crate) async fn discard(self) {
        // The place is kept until the connection is closed.
        let Self { place, connection } = self;
        if let Err(error) = connection.close_hard().await {
            tracing::debug!(%error, "a writing connection to the log didn't close in order");
        }
        drop(place);
    }
}

/// Switching a new file to write-ahead mode takes a lock that SQLite doesn't wait for, so two
/// processes that create it together may disturb each other: try again until the lock timeout.
async fn first_connection(
    writing: &SqliteConnectOptions,
    path: &Path,
    patience: Duration,
) -> Result<SqliteConnection, OpenError> {
    let connecting = async {
        loop {
            match writing.connect().await.map_err(SqliteFault::from) {
                Err(SqliteFault::Busy(_)) => tokio::time::sleep(OPEN_RETRY).await,
                outcome => return outcome,
            }
        }
    };
    let outcome = match tokio::time::timeout(patience, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => writing.connect().await.map_err(SqliteFault::from),
    };
    outcome.map_err(|source| OpenError::Open { path: path.to_owned(), source })
}

/// SQLite doesn't fail where it can't have a write-ahead log, it does without; readers and the writer
/// would then wait for each other.
async fn check_write_ahead_log(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(connection)
        .await
        .map_err(|error| OpenError::Open { path: path.to_owned(), source: error.into() })?;
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    Err(OpenError::NoWriteAheadLog { path: path.to_owned(), mode })
}

/// What all connections have in common.
fn base(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.lock_timeout)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

/// What makes an acknowledged append durable: the write-ahead log is synced at every commit, with
/// the barrier that macOS needs to be asked for.
fn writing(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    let writing = base(path, options)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
        .pragma("journal_size_limit", MAX_IDLE_WAL_BYTES.to_string());
    match options.max_size_bytes {
        Some(bytes) => writing.pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string()),
        None => writing,
    }
}
