//! The highest position that is safe to read, and what this process knows of it.
//!
//! The mark itself is computed by `highwater.high_water_mark` (its migration holds the proof).
//!
//! # Invariants
//! 1. The mark is read in a statement of its own, before the statement that reads the page: two
//!    statements under READ COMMITTED have two snapshots, and the second sees everything that had
//!    ended when the first looked. Never both in one REPEATABLE READ transaction. They may be sent
//!    together, mark first: the server carries out what one connection sends one after the other.
//! 2. The mark only grows: what was final stays final. So a value from before is a valid mark, and
//!    pages wholly below it need not ask.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_postgres::Client;
use highwater_core::{GlobalPosition, ReadError};

use crate::held_mark::HeldMark;
use crate::read_log::unavailable;
use crate::recorded_row::from_i64;

/// The highest mark that this process has seen.
pub(crate) struct KnownMark {
    seen: AtomicU64,
    held: HeldMark,
}

const MARK: &str = "SELECT highwater.high_water_mark()";

impl KnownMark {
    /// Nothing is known yet; a transaction that holds the mark for longer than `held` is warned of.
    pub(crate) fn new(held: Duration) -> Self {
        Self { seen: AtomicU64::new(0), held: HeldMark::new(held) }
    }

    pub(crate) fn get(&self) -> GlobalPosition {
        GlobalPosition::new(self.seen.load(Ordering::Relaxed))
    }

    /// Makes sure that the first poll of [`KnownMark::fetch`] on this connection sends the question,
    /// so that it is in front of whatever is sent by a later poll.
    pub(crate) async fn prepare(&self, client: &Client) -> Result<(), ReadError> {
        client.prepare_cached(MARK).await.map(|_| ()).map_err(unavailable)
    }

    /// Asks the database, and remembers.
    pub(crate) async fn fetch(&self, client: &Client) -> Result<GlobalPosition, ReadError> {
        let statement = client.prepare_cached(MARK).await.map_err(unavailable)?;
        let row = client.query_one(&statement, &[]).await.map_err(unavailable)?;
        let mark = from_i64(row.try_get(0).map_err(unavailable)?);
        self.seen.fetch_max(mark.get(), Ordering::Relaxed);
        self.held.watch(client, mark).await;
        Ok(mark)
    }
}
