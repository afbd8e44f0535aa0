//! Appending in a transaction of the caller's: its own rows and the events are one commit.
//!
//! The invariants of [`batch_writer`](crate::batch_writer) hold here as well, and by the same code:
//!
//! 1. The file's only write lock is taken before anything is looked at, by a statement that changes
//!    nothing. In a transaction that has read before, SQLite refuses it if somebody has written
//!    since: so no decision rests on an old snapshot.
//! 2. Everything is decided before the first row is written, so a conflict leaves the transaction as
//!    it was, and the caller may go on with it.
//! 3. The lock is held until the caller commits: nobody draws a position meanwhile, and readers see
//!    the events with the commit, not before.

use highwater_core::{Append, AppendError, Appended, BatchError};
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::SqliteStore;
use crate::batch_writer::{insert_events, insert_tags, plan};
use crate::result_code::SqliteFault;

/// The value of `PRAGMA synchronous` from which on a commit is synced to the disk.
const FULL: i64 = 2;

/// The caller's connection wouldn't keep what is acknowledged.
#[derive(Debug, thiserror::Error)]
#[error(
    "the connection commits without syncing (PRAGMA synchronous is {synchronous}); open it with \
     synchronous = FULL, as a commit must outlive the machine"
)]
struct NotDurable {
    synchronous: i64,
}

impl SqliteStore {
    /// Appends within `transaction`, which is the caller's and on this log's file: the caller's own
    /// rows and the events commit together, or neither does.
    ///
    /// A conflict is a typed outcome and leaves the transaction as it was: go on with it or roll it
    /// back. The events are there for nobody else before the commit; afterwards
    /// `store.signal().notify()` wakes this process's readers at once. Without it they find the events
    /// at their next poll.
    ///
    /// SQLite has one writer at a time. From the append (or the transaction's first write) to the
    /// commit everybody else's appends wait, for the lock timeout at most: append last, commit at once,
    /// and begin with `BEGIN IMMEDIATE` if the transaction reads before it writes.
    ///
    /// # Errors
    /// [`AppendError`], as for [`EventStore::append`](highwater_core::EventStore::append).
    /// `Unavailable` means that the transaction must be rolled back, and may be tried again as a whole:
    /// another writer came between its first read and now, or held the lock for too long.
    /// `Refused`: the connection commits without syncing.
    ///
    /// # Cancel safety
    /// A dropped call may have appended within the transaction: roll that back.
    ///
    /// # Examples
    /// ```
    /// # use highwater_store_sqlite::SqliteStore;
    /// # use highwater_core::{Append, EventStore, ExpectedVersion, NewEvent, StreamId};
    /// # use sqlx::{Connection, SqliteConnection};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.db");
    /// let store = SqliteStore::open(&path).await?;
    /// let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
    /// # sqlx::query("CREATE TABLE carts (id TEXT, state TEXT)").execute(&mut connection).await?;
    ///
    /// let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    /// sqlx::query("UPDATE carts SET state = 'closed' WHERE id = '7'")
    ///     .execute(&mut *transaction)
    ///     .await?;
    /// let placed = NewEvent::new("order.placed", &"a lamp")?;
    /// let append = Append::to(StreamId::new("order", 7)?, ExpectedVersion::NoStream, vec![placed]);
    /// store.append_in(&mut transaction, append).await?;
    /// transaction.commit().await?;
    /// store.signal().notify();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append_in(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        append: Append,
    ) -> Result<Appended, AppendError> {
        append.validate()?;
        check_durable(transaction).await?;
        let locked = sqlx::query("DELETE FROM highwater_events WHERE false");
        locked.execute(&mut **transaction).await.map_err(unavailable)?;
        let batch = [append];
        let mut plan = plan(transaction, &batch).await.map_err(as_append_error)?;
        insert_events(transaction, &plan).await.map_err(as_append_error)?;
        insert_tags(transaction, &plan.placed).await.map_err(as_append_error)?;
        // One append has one outcome.
        plan.outcomes.pop().unwrap_or(Err(AppendError::Closed))
    }
}

async fn check_durable(connection: &mut SqliteConnection) -> Result<(), AppendError> {
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(connection)
        .await
        .map_err(unavailable)?;
    if synchronous >= FULL {
        return Ok(());
    }
    Err(AppendError::Refused { source: Box::new(NotDurable { synchronous }) })
}

fn unavailable(error: sqlx::Error) -> AppendError {
    AppendError::Unavailable { source: Box::new(SqliteFault::from(error)) }
}

/// Nothing has been committed: whatever went wrong, the events aren't there unless the caller commits.
fn as_append_error(error: BatchError) -> AppendError {
    match error {
        BatchError::Interfered { source }
        | BatchError::Unavailable { source }
        | BatchError::OutcomeUnknown { source } => AppendError::Unavailable { source },
        other => AppendError::Unavailable { source: Box::new(other) },
    }
}
