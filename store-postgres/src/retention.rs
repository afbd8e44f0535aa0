//! Retention in Postgres: marks, and removal in short transactions.
//!
//! # Invariants
//! 1. Every statement here is one transaction. What it removes from the log raises the streams' marks
//!    with it, so an append's one look at "newest event, or else the mark" finds either the one or
//!    the other, whatever commits beside it.
//! 2. Readers get the mark as a further row of the statement that reads the events, and so on the
//!    same snapshot. A mark commits before the first event behind it goes: who misses an event sees
//!    the mark.
//! 3. Nothing goes while an append is under way that read before the mark: it may be about to write a
//!    version whose entry in the unique index would go with its event (0010_retention.sql).
//! 4. A removal deletes rows that no append touches, and takes no lock that an append waits for. Only
//!    the first mark of all does, for a moment: from then on appends and readers look for marks
//!    (`begin_retention`).
//!
//! In a partitioned log, what fills a partition goes with it (`partition_removal.rs`); rows are deleted
//! of the rest.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::Client;
use highwater_core::retention::{ConsumerPlace, Retention, RetentionError, StreamRetention};
use highwater_core::{GlobalPosition, ReadError, StreamId, StreamVersion};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresStore;
use crate::batch_arrays::to_i64;
use crate::read_log::unavailable;
use crate::recorded_row::from_i64;
use crate::roll_over::ask_patiently;

type Error = Box<dyn std::error::Error + Send + Sync>;

const LOG_MARK: &str = "SELECT removed_to FROM highwater.log_retention";

const STREAM: &str = "SELECT greatest(e.version, r.removed_to), coalesce(r.removed_to, 0),
        coalesce(e.type = 'highwater.tombstone', false) OR coalesce(r.is_tombstoned, false)
    FROM (SELECT $1::text AS stream_id) s
    LEFT JOIN LATERAL (SELECT h.version, h.type FROM highwater.events h
        WHERE h.stream_id = s.stream_id ORDER BY h.version DESC LIMIT 1) e ON true
    LEFT JOIN highwater.stream_retention r ON r.stream_id = s.stream_id";

const CONSUMERS: &str = "SELECT consumer, position FROM highwater.checkpoints";

/// Before the first mark.
const BEGIN: &str = "SELECT highwater.begin_retention()";

const MARK_STREAM: &str =
    "INSERT INTO highwater.stream_retention AS r (stream_id, removed_to, removed_position)
    SELECT $1::text, $2::bigint, coalesce((SELECT e.position FROM highwater.events e
        WHERE e.stream_id = $1::text AND e.version = $2::bigint), 0)
    WHERE $2::bigint > 0
    ON CONFLICT (stream_id) DO UPDATE
    SET removed_to = excluded.removed_to, marked_by = excluded.marked_by,
        removed_position = greatest(r.removed_position, excluded.removed_position)
    WHERE r.removed_to < excluded.removed_to";

const MARK_LOG: &str = "UPDATE highwater.log_retention
    SET removed_to = $1, marked_by = pg_current_xact_id() WHERE removed_to < $1";

/// The transactions to wait for, and the mark.
const MARK_OF_STREAM: &str = "SELECT highwater.transactions_before(r.marked_by), r.removed_to
    FROM highwater.stream_retention r WHERE r.stream_id = $1";
const MARK_OF_LOG: &str = "SELECT highwater.transactions_before(r.marked_by), r.removed_to
    FROM highwater.log_retention r";
/// Those that are still under way: every transaction holds a lock on its own name.
const STILL_OPEN: &str = "SELECT ARRAY(
    SELECT unnest($1::text[]) INTERSECT
    SELECT l.virtualxid FROM pg_catalog.pg_locks l WHERE l.locktype = 'virtualxid')";

/// How long a removal waits for transactions that began before its mark.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Somebody holds a transaction open that began before the mark.
#[derive(Debug, thiserror::Error)]
#[error("a transaction that began before the mark is still open; end it, then remove again")]
struct Held;

/// Locked while they are chosen: rows that another removal takes away meanwhile are passed over and
/// others come in their place, so only who finds nothing more has removed nothing.
///
/// The tags by tag and position, as their index has them: no index leads from a position to them.
/// The newest event of the log stays: the high-water mark goes down to an event that is there.
const REMOVE_FROM_STREAM: &str = "
    WITH marked AS MATERIALIZED (
        SELECT e.position, e.tags
        FROM highwater.stream_retention r JOIN highwater.events e ON e.stream_id = r.stream_id
        WHERE r.stream_id = $1 AND e.version <= least(r.removed_to, $3)
          AND e.position < (SELECT max(n.position) FROM highwater.events n)
        ORDER BY e.version LIMIT $2 FOR UPDATE OF e
    ), untagged AS (
        DELETE FROM highwater.event_tags t
        USING (SELECT DISTINCT u.tag, m.position FROM marked m, unnest(m.tags) u(tag)) m
        WHERE t.tag = m.tag AND t.position = m.position
    ), removed AS (
        DELETE FROM highwater.events e USING marked m WHERE e.position = m.position
        RETURNING e.position
    )
    SELECT max(d.position), count(*) FROM removed d";

/// Streams are raised in their order: two removals that meet wait for each other, never in a circle.
const REMOVE_FROM_LOG: &str = "
    WITH marked AS MATERIALIZED (
        SELECT e.position, e.stream_id, e.version, e.type, e.tags
        FROM highwater.events e
        WHERE e.position <= $2
          AND e.position < (SELECT max(n.position) FROM highwater.events n)
        ORDER BY e.position LIMIT $1 FOR UPDATE OF e
    ), raised AS (
        INSERT INTO highwater.stream_retention AS r (stream_id, removed_to, is_tombstoned)
        SELECT m.stream_id, max(m.version), bool_or(m.type = 'highwater.tombstone')
        FROM marked m GROUP BY m.stream_id ORDER BY m.stream_id
        ON CONFLICT (stream_id) DO UPDATE
        SET removed_to = greatest(r.removed_to, excluded.removed_to),
            is_tombstoned = r.is_tombstoned OR excluded.is_tombstoned
    ), untagged AS (
        DELETE FROM highwater.event_tags t
        USING (SELECT DISTINCT u.tag, m.position FROM marked m, unnest(m.tags) u(tag)) m
        WHERE t.tag = m.tag AND t.position = m.position
    ), removed AS (
        DELETE FROM highwater.events e USING marked m WHERE e.position = m.position
        RETURNING e.position
    )
    SELECT max(d.position), count(*) FROM removed d";

impl PostgresStore {
    async fn retention_client(&self) -> Result<Client, Error> {
        Ok(self.reads.get().await?)
    }

    pub(crate) async fn retention_row(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error> {
        let client = self.retention_client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_one(&statement, parameters).await?)
    }

    /// Waits until no append that read before the mark is under way; gives the mark. It may have been
    /// raised since, so what goes is what this one covers.
    async fn settled_mark(&self, row: &Row) -> Result<i64, Error> {
        self.settle(row.try_get(0)?).await?;
        Ok(row.try_get(1)?)
    }

    /// Waits until these transactions have ended.
    pub(crate) async fn settle(&self, mut open: Vec<String>) -> Result<(), Error> {
        let begin = Instant::now();
        while !open.is_empty() {
            if begin.elapsed() > PATIENCE {
                return Err(Held.into());
            }
            tokio::time::sleep(PAUSE).await;
            open = self.retention_row(STILL_OPEN, &[&open]).await?.try_get(0)?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        stream: Option<&str>,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, Error> {
        let limit = to_i64(limit as u64);
        let row = match stream {
            Some(stream) => {
                let Some(marked) = self.marked_row(MARK_OF_STREAM, &[&stream]).await? else {
                    return Ok(None);
                };
                let mark = self.settled_mark(&marked).await?;
                self.retention_row(REMOVE_FROM_STREAM, &[&stream, &limit, &mark]).await?
            }
            None => {
                let mark = self.settled_mark(&self.retention_row(MARK_OF_LOG, &[]).await?).await?;
                // Nothing is marked.
                if mark == 0 {
                    return Ok(None);
                }
                if let Some(removed) = self.remove_partitions(mark, limit).await? {
                    return Ok(Some(removed));
                }
                self.retention_row(REMOVE_FROM_LOG, &[&limit, &mark]).await?
            }
        };
        let reached: Option<i64> = row.try_get(0)?;
        let events = row.try_get::<_, i64>(1)?.unsigned_abs();
        Ok(reached.map(|reached| (from_i64(reached), events)))
    }

    pub(crate) async fn marked_row(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        let client = self.retention_client().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_opt(&statement, parameters).await?)
    }

    /// Marks, and lets appends and readers look for marks first, if they don't yet.
    async fn mark(
        &self,
        sql: &'static str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), Error> {
        ask_patiently(&self.reads, BEGIN, &[], PATIENCE).await?;
        let client = self.retention_client().await?;
        let statement = client.prepare_cached(sql).await?;
        client.execute(&statement, parameters).await?;
        Ok(())
    }
}

fn version(row: &Row, index: usize) -> Result<StreamVersion, tokio_postgres::Error> {
    let number: Option<i64> = row.try_get(index)?;
    Ok(StreamVersion::new(number.unwrap_or(0).unsigned_abs()))
}

fn in_read(source: Error) -> ReadError {
    ReadError::Unavailable { source }
}

fn stopped(doing: &'static str) -> impl FnOnce(Error) -> RetentionError {
    move |source| RetentionError::Unavailable { doing, source }
}

#[async_trait]
impl Retention for PostgresStore {
    async fn removed_to(&self) -> Result<GlobalPosition, ReadError> {
        let row = self.retention_row(LOG_MARK, &[]).await.map_err(in_read)?;
        Ok(from_i64(row.try_get(0).map_err(unavailable)?))
    }

    async fn stream_retention(&self, stream: &StreamId) -> Result<StreamRetention, ReadError> {
        let row = self.retention_row(STREAM, &[&stream.as_str()]).await.map_err(in_read)?;
        Ok(StreamRetention {
            head: version(&row, 0).map_err(unavailable)?,
            removed_to: version(&row, 1).map_err(unavailable)?,
            is_tombstoned: row.try_get(2).map_err(unavailable)?,
        })
    }

    async fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError> {
        let client = self.retention_client().await.map_err(in_read)?;
        let rows = client.query(CONSUMERS, &[]).await.map_err(unavailable)?;
        let place = |row: &Row| {
            let position = from_i64(row.try_get(1)?);
            Ok(ConsumerPlace { consumer: row.try_get(0)?, position })
        };
        rows.iter().map(place).collect::<Result<_, tokio_postgres::Error>>().map_err(unavailable)
    }

    async fn mark_stream(
        &self,
        stream: &StreamId,
        to: StreamVersion,
    ) -> Result<(), RetentionError> {
        let marked = self.mark(MARK_STREAM, &[&stream.as_str(), &to_i64(to.get())]).await;
        marked.map_err(stopped("mark a stream"))
    }

    async fn remove_from_stream(
        &self,
        stream: &StreamId,
        limit: usize,
    ) -> Result<u64, RetentionError> {
        let removed = self.remove(Some(stream.as_str()), limit).await;
        let removed = removed.map_err(stopped("remove events of a stream"))?;
        Ok(removed.map_or(0, |(_, events)| events))
    }

    async fn mark_log(&self, to: GlobalPosition) -> Result<(), RetentionError> {
        self.mark(MARK_LOG, &[&to_i64(to.get())]).await.map_err(stopped("mark the log"))
    }

    async fn remove_from_log(
        &self,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, RetentionError> {
        self.remove(None, limit).await.map_err(stopped("remove events of the log"))
    }
}
