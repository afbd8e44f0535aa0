//! Removing the oldest part of a partitioned log: whole partitions, not rows.
//!
//! # Invariants
//! 1. A partition goes only if the log's mark covers all of it, that mark is settled, and the high-water
//!    mark stands behind it.
//! 2. The versions of its streams are marked first, in short transactions (*prepared*). It is sealed, so
//!    what was marked stays all there is.
//! 3. Then it is taken off, in a time that doesn't depend on what it holds, and then its tables are
//!    dropped. Before each of the two, transactions are waited for that have not seen the step before:
//!    an append among them might look for a version where it isn't any more.
//! 4. Each step is one transaction and leaves its trace in `log_partitions`. Whoever comes next, in this
//!    process or another, goes on from there; who comes at the same time does no harm.

use std::error::Error;

use highwater_core::GlobalPosition;

use crate::PostgresStore;
use crate::partitions::to_i32;
use crate::recorded_row::from_i64;
use crate::retention::PATIENCE;
use crate::roll_over::ask_patiently;

type Failed = Box<dyn Error + Send + Sync>;

/// The oldest partition that may go: its number, whether it was taken off, whether it is prepared.
const OLDEST: &str = "
    SELECT p.number, p.state = 'detached', p.prepared_to >= p.up_to
    FROM highwater.log_partitions p
    WHERE p.state = 'detached' AND NOT $2::boolean
       OR p.state = 'sealed' AND p.up_to <= $1::bigint
          AND p.up_to < (SELECT highwater.high_water_mark())
    ORDER BY p.number LIMIT 1";

/// The mark of who changed it last, for `transactions_before`.
const CHANGED: &str = "SELECT highwater.transactions_before(p.changed_by)
    FROM highwater.log_partitions p WHERE p.number = $1";

/// Streams are raised in their order, as where rows are removed. The positions come as scalars, so that
/// the next events are read from the index and not sorted out of all that are left.
const PREPARE: &str = "
    WITH sealed AS MATERIALIZED (
        SELECT p.prepared_to, p.up_to FROM highwater.log_partitions p
        WHERE p.number = $1 AND p.state = 'sealed' FOR UPDATE
    ), going AS MATERIALIZED (
        SELECT e.position, e.stream_id, e.version, e.type
        FROM highwater.events e
        WHERE e.position > (SELECT s.prepared_to FROM sealed s)
          AND e.position <= (SELECT s.up_to FROM sealed s)
        ORDER BY e.position LIMIT $2::bigint
    ), raised AS (
        INSERT INTO highwater.stream_retention AS r (stream_id, removed_to, is_tombstoned)
        SELECT g.stream_id, max(g.version), bool_or(g.type = 'highwater.tombstone')
        FROM going g GROUP BY g.stream_id ORDER BY g.stream_id
        ON CONFLICT (stream_id) DO UPDATE
        SET removed_to = greatest(r.removed_to, excluded.removed_to),
            is_tombstoned = r.is_tombstoned OR excluded.is_tombstoned
    ), moved AS (
        UPDATE highwater.log_partitions p SET changed_by = pg_current_xact_id(),
            prepared_to = CASE WHEN (SELECT count(*) FROM going) < $2::bigint THEN p.up_to
                               ELSE (SELECT max(g.position) FROM going g) END
        WHERE p.number = $1 AND p.state = 'sealed'
    )
    SELECT max(g.position), count(*) FROM going g";

const DETACH: &str = "SELECT highwater.detach_partition($1)";

impl PostgresStore {
    /// Does the next step: prepares up to `limit` events of the oldest partition at or below `mark`, and
    /// says which and how many; or takes a prepared one off and goes on with the next. `None` if no
    /// whole partition is left there.
    pub(crate) async fn remove_partitions(
        &self,
        mark: i64,
        limit: i64,
    ) -> Result<Option<(GlobalPosition, u64)>, Failed> {
        let keeps_detached = self.keeps_detached;
        while let Some(next) = self.marked_row(OLDEST, &[&mark, &keeps_detached]).await? {
            let number = next.try_get::<_, i32>(0)?.unsigned_abs();
            if next.try_get(1)? {
                self.settle_and_drop(number).await?;
            } else if next.try_get(2)? {
                self.settled_partition(number).await?;
                ask_patiently(&self.reads, DETACH, &[&to_i32(number)], PATIENCE).await?;
            } else {
                let row = self.retention_row(PREPARE, &[&to_i32(number), &limit]).await?;
                if let Some(reached) = row.try_get(0)? {
                    let events = row.try_get::<_, i64>(1)?.unsigned_abs();
                    return Ok(Some((from_i64(reached), events)));
                }
            }
        }
        Ok(None)
    }

    /// Waits until nobody is under way who hasn't seen the last change of the partition.
    pub(crate) async fn settled_partition(&self, number: u32) -> Result<(), Failed> {
        match self.marked_row(CHANGED, &[&to_i32(number)]).await? {
            Some(row) => self.settle(row.try_get(0)?).await,
            None => Ok(()),
        }
    }
}
