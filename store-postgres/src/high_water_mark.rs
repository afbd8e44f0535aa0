//! The highest position that is safe to read, and what this process knows of it.
//!
//! The mark itself is computed by `highwater.high_water_mark` (its migration holds the proof).
//!
//! # Invariants
//! 1. The mark is read in a statement of its own, before the statement that reads the page: two
//!    statements under READ COMMITTED have two snapshots, and the second sees everything that had
//!    ended when the first looked. Never both in one REPEATABLE READ transaction.
//! 2. The mark only grows: what was final stays final. So a value from before is a valid mark, and
//!    pages wholly below it need not ask.

use std::sync::atomic::{AtomicU64, Ordering};

use deadpool_postgres::Client;
use highwater_core::{GlobalPosition, ReadError};

use crate::read_log::unavailable;
use crate::recorded_row::from_i64;

/// The highest mark that this process has seen.
#[derive(Default)]
pub(crate) struct KnownMark(AtomicU64);

impl KnownMark {
    pub(crate) fn get(&self) -> GlobalPosition {
        GlobalPosition::new(self.0.load(Ordering::Relaxed))
    }

    /// Asks the database, and remembers.
    pub(crate) async fn fetch(&self, client: &Client) -> Result<GlobalPosition, ReadError> {
        let statement = client
            .prepare_cached("SELECT highwater.high_water_mark()")
            .await
            .map_err(unavailable)?;
        let row = client.query_one(&statement, &[]).await.map_err(unavailable)?;
        let mark = from_i64(row.try_get(0).map_err(unavailable)?);
        self.0.fetch_max(mark.get(), Ordering::Relaxed);
        Ok(mark)
    }
}
