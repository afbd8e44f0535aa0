//! How far the log is safe to read: in SQLite, as far as there is anything.
//!
//! # Invariants
//! 1. A position is drawn inside a transaction that began with `BEGIN IMMEDIATE`, as the highest
//!    one in the table plus one. Such a transaction holds the file's only write lock, in this
//!    process and in every other, until it has committed or is rolled back.
//! 2. So when a position is drawn, every lower one is committed or will never be: nobody draws 6
//!    while 5 is in flight.
//! 3. A commit makes its frames in the write-ahead log visible as one; a reader's snapshot is a
//!    prefix of the commits. Whoever sees a position sees every lower one.
//! 4. The newest event is never deleted (a trigger sees to it), so the highest position never falls
//!    and none is given twice: `AUTOINCREMENT`, and its extra table to write, isn't needed. What an
//!    aborted append had drawn nobody has seen, and the next one draws it again: no gaps.
//!
//! Hence the highest position is the high-water mark. A page is read in a later statement, and so
//! on a snapshot at least as new, but not above the mark: what the mark covered it sees whole.

use highwater_core::GlobalPosition;
use sqlx::{Executor, Sqlite};

/// The highest position there is.
pub(crate) async fn high_water_mark<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
) -> Result<GlobalPosition, sqlx::Error> {
    let highest: i64 =
        sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM highwater_events")
            .fetch_one(connection)
            .await?;
    Ok(GlobalPosition::new(highest.unsigned_abs()))
}
