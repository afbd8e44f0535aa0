//! Warns of a transaction that appended and stays open: it holds every reader of the log below its
//! events.
//!
//! Whoever reads the mark notices that it stands still, and looks who holds it. The clock decides
//! nothing but whether a warning is written.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::Client;
use highwater_core::GlobalPosition;
use tokio_postgres::Row;

/// The oldest append in flight, by the same locks that the mark is computed from.
const HOLDER: &str = "
    SELECT ((l.classid::bigint & 65535) << 32) | l.objid::bigint, l.pid, a.application_name,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
      AND l.objsubid = 1
      AND l.classid::bigint >> 16 = 24001
      AND l.mode = 'ShareLock'
      AND l.granted
    ORDER BY 1 LIMIT 1";

/// Watches a mark that doesn't move.
pub(crate) struct HeldMark {
    patience: Duration,
    standing: Mutex<Standing>,
}

struct Standing {
    mark: GlobalPosition,
    /// Since when this process has seen it there, or when it last looked why.
    since: Instant,
}

impl HeldMark {
    pub(crate) fn new(patience: Duration) -> Self {
        let standing = Standing { mark: GlobalPosition::START, since: Instant::now() };
        Self { patience, standing: Mutex::new(standing) }
    }

    /// Looks who holds the mark, if it has stood here for too long and nobody has looked since.
    pub(crate) async fn watch(&self, client: &Client, mark: GlobalPosition) {
        if self.has_stood_too_long(mark) {
            match self.holder(client).await {
                Ok(Some(row)) => self.warn(mark, &row),
                // Nothing is in flight: the log is quiet.
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "can't see who holds the high-water mark"),
            }
        }
    }

    fn has_stood_too_long(&self, mark: GlobalPosition) -> bool {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if standing.mark < mark {
            *standing = Standing { mark, since: Instant::now() };
        }
        let has = standing.since.elapsed() >= self.patience;
        if has {
            standing.since = Instant::now();
        }
        has
    }

    async fn holder(&self, client: &Client) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = client.prepare_cached(HOLDER).await?;
        client.query_opt(&statement, &[]).await
    }

    fn warn(&self, mark: GlobalPosition, row: &Row) {
        // What another role's session does is not for everybody to see; then the age is unknown.
        let age: Option<f64> = row.try_get(3).ok().flatten();
        if age.is_some_and(|age| age < self.patience.as_secs_f64()) {
            return;
        }
        let (behind, pid): (Option<i64>, Option<i32>) = (row.try_get(0).ok(), row.try_get(1).ok());
        let application: Option<String> = row.try_get(2).ok().flatten();
        tracing::warn!(
            mark = mark.get(),
            behind,
            pid,
            application,
            open_for_s = age,
            "a transaction appended and stays open: readers of the log wait for it to end"
        );
    }
}
