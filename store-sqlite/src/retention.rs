//! Retention in SQLite: marks, and removal in short transactions.
//!
//! # Invariants
//! 1. Everything that writes holds the file's only write lock from its start, as appends do: an
//!    append finds a stream's newest event or else its mark.
//! 2. Readers look at the marks in a statement behind the one that read the events. A mark is durable
//!    before the first event behind it goes, so whoever missed an event finds the mark.
//! 3. What is removed from the log raises its streams' marks in the same transaction.

use async_trait::async_trait;
use highwater_core::retention::{ConsumerPlace, Retention, RetentionError, StreamRetention};
use highwater_core::{GlobalPosition, ReadError, StreamId, StreamVersion, TOMBSTONE_TYPE};
use sqlx::{Connection, Executor, Sqlite, SqliteConnection};

use crate::SqliteStore;
use crate::connections::Connections;
use crate::recorded_row::{column_limit, column_number};
use crate::result_code::SqliteFault;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Fails if events of the stream behind `after` may be gone. To be asked after the events were read.
pub(crate) async fn check_stream<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
    stream: &StreamId,
    after: StreamVersion,
) -> Result<(), ReadError> {
    let removed_to: Option<i64> = sqlx::query_scalar(
        "SELECT removed_to FROM highwater_stream_retention WHERE stream_id = ? AND removed_to > ?",
    )
    .bind(stream.as_str())
    .bind(column_number(after.get()))
    .fetch_optional(connection)
    .await
    .map_err(|error| SqliteFault::from(error).in_read(GlobalPosition::START))?;
    removed_to.map_or(Ok(()), |removed_to| {
        let removed_to = StreamVersion::new(removed_to.unsigned_abs());
        Err(ReadError::StreamTruncated { stream: stream.clone(), after, removed_to })
    })
}

/// Fails if events of the stream behind position `after` may be gone, though the log's mark covers
/// them not. To be asked after the events were read.
pub(crate) async fn check_along_stream<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
    stream: &StreamId,
    after: GlobalPosition,
) -> Result<(), ReadError> {
    let removed_to: Option<i64> = sqlx::query_scalar(
        "SELECT removed_to FROM highwater_stream_retention \
         WHERE stream_id = ? AND removed_position > ?",
    )
    .bind(stream.as_str())
    .bind(column_number(after.get()))
    .fetch_optional(connection)
    .await
    .map_err(|error| SqliteFault::from(error).in_read(after))?;
    removed_to.map_or(Ok(()), |removed_to| {
        let removed_to = StreamVersion::new(removed_to.unsigned_abs());
        let (stream, after) = (stream.clone(), StreamVersion::EMPTY);
        Err(ReadError::StreamTruncated { stream, after, removed_to })
    })
}

/// Fails if events of the log behind `after` may be gone. To be asked after the events were read.
pub(crate) async fn check_log<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
    after: GlobalPosition,
) -> Result<(), ReadError> {
    let removed_to =
        log_mark(connection).await.map_err(|error| SqliteFault::from(error).in_read(after))?;
    if removed_to > after {
        return Err(ReadError::LogTruncated { after, removed_to });
    }
    Ok(())
}

async fn log_mark<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
) -> Result<GlobalPosition, sqlx::Error> {
    let removed_to: i64 = sqlx::query_scalar("SELECT removed_to FROM highwater_log_retention")
        .fetch_one(connection)
        .await?;
    Ok(GlobalPosition::new(removed_to.unsigned_abs()))
}

/// Both in one statement, so that they fit each other.
async fn stream_retention<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
    stream: &StreamId,
) -> Result<StreamRetention, sqlx::Error> {
    let (newest, removed_to, is_tombstoned): (i64, i64, bool) = sqlx::query_as(
        "SELECT coalesce((SELECT max(version) FROM highwater_events WHERE stream_id = ?1), 0), \
         coalesce((SELECT removed_to FROM highwater_stream_retention WHERE stream_id = ?1), 0), \
         coalesce((SELECT is_tombstoned FROM highwater_stream_retention WHERE stream_id = ?1), 0) \
         OR coalesce((SELECT type = 'highwater.tombstone' FROM highwater_events \
            WHERE stream_id = ?1 ORDER BY version DESC LIMIT 1), 0)",
    )
    .bind(stream.as_str())
    .fetch_one(connection)
    .await?;
    let version = |number: i64| StreamVersion::new(number.unsigned_abs());
    let head = version(newest.max(removed_to));
    Ok(StreamRetention { head, removed_to: version(removed_to), is_tombstoned })
}

async fn raise_mark(
    connection: &mut SqliteConnection,
    stream: &str,
    to: i64,
    is_tombstoned: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO highwater_stream_retention AS r \
            (stream_id, removed_to, is_tombstoned, removed_position) \
         VALUES (?1, ?2, ?3, coalesce((SELECT e.position FROM highwater_events e \
            WHERE e.stream_id = ?1 AND e.version = ?2), 0)) ON CONFLICT (stream_id) DO UPDATE \
         SET removed_to = max(r.removed_to, excluded.removed_to), \
             removed_position = max(r.removed_position, excluded.removed_position), \
             is_tombstoned = r.is_tombstoned OR excluded.is_tombstoned",
    )
    .bind(stream)
    .bind(to)
    .bind(is_tombstoned)
    .execute(connection)
    .await?;
    Ok(())
}

/// Marked events of a stream, the oldest first; never the newest of the log, whose position would be
/// given twice.
const MARKED_OF_STREAM: &str = "SELECT e.position, e.stream_id, e.version, e.type \
    FROM highwater_events e JOIN highwater_stream_retention r ON r.stream_id = e.stream_id \
    WHERE e.stream_id = ?1 AND e.version <= r.removed_to \
      AND e.position < (SELECT max(position) FROM highwater_events) \
    ORDER BY e.version LIMIT ?2";

/// The same of the log.
const MARKED_OF_LOG: &str = "SELECT e.position, e.stream_id, e.version, e.type \
    FROM highwater_events e \
    WHERE e.position <= (SELECT removed_to FROM highwater_log_retention) \
      AND e.position < (SELECT max(position) FROM highwater_events) \
    ORDER BY e.position LIMIT ?2";

/// Removes up to `limit` of what is marked; says up to which position and how many.
async fn remove(
    connection: &mut SqliteConnection,
    marked: &'static str,
    stream: Option<&StreamId>,
    limit: usize,
) -> Result<Option<(GlobalPosition, u64)>, Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(marked)
        .bind(stream.map(StreamId::as_str))
        .bind(column_limit(limit))
        .fetch_all(&mut *transaction)
        .await?;
    let Some((last, ..)) = rows.last() else {
        return Ok(None);
    };
    let removed = (GlobalPosition::new(last.unsigned_abs()), rows.len() as u64);
    if stream.is_none() {
        for (_, stream, version, event_type) in &rows {
            let is_tombstoned = event_type == TOMBSTONE_TYPE;
            raise_mark(&mut transaction, stream, *version, is_tombstoned).await?;
        }
    }
    let positions: Vec<i64> = rows.iter().map(|(position, ..)| *position).collect();
    let positions = serde_json::to_string(&positions)?;
    // By the tags that the events name: no index leads from a position to its tags.
    for statement in [
        "DELETE FROM highwater_event_tags WHERE (tag, position) IN \
         (SELECT tag.value, e.position FROM json_each(?) wanted \
          JOIN highwater_events e ON e.position = wanted.value, json_each(e.tags) tag)",
        "DELETE FROM highwater_events WHERE position IN (SELECT value FROM json_each(?))",
    ] {
        sqlx::query(statement).bind(&positions).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(removed))
}

/// Runs `work` on the writing connection, which goes back to its place only if all went well.
async fn writing<T>(
    connections: &Connections,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut writer = connections.writer().await?;
    match work(&mut writer.connection).await {
        Ok(done) => {
            writer.put_back();
            Ok(done)
        }
        Err(error) => {
            writer.discard().await;
            Err(error)
        }
    }
}

fn unavailable(doing: &'static str) -> impl FnOnce(Error) -> RetentionError {
    move |source| RetentionError::Unavailable { doing, source }
}

fn in_read(error: sqlx::Error) -> ReadError {
    SqliteFault::from(error).in_read(GlobalPosition::START)
}

#[async_trait]
impl Retention for SqliteStore {
    async fn removed_to(&self) -> Result<GlobalPosition, ReadError> {
        log_mark(&self.connections.readers).await.map_err(in_read)
    }

    async fn stream_retention(&self, stream: &StreamId) -> Result<StreamRetention, ReadError> {
        stream_retention(&self.connections.readers, stream).await.map_err(in_read)
    }

    async fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT consumer, position FROM highwater_checkpoints")
                .fetch_all(&self.connections.readers)
                .await
                .map_err(in_read)?;
        let places = rows.into_iter().map(|(consumer, position)| ConsumerPlace {
            consumer,
            position: GlobalPosition::new(position.unsigned_abs()),
        });
        Ok(places.collect())
    }

    async fn mark_stream(
        &self,
        stream: &StreamId,
        to: StreamVersion,
    ) -> Result<(), RetentionError> {
        writing(&self.connections, async |connection| {
            Ok(raise_mark(connection, stream.as_str(), column_number(to.get()), false).await?)
        })
        .await
        .map_err(unavailable("mark a stream"))
    }

    async fn remove_from_stream(
        &self,
        stream: &StreamId,
        limit: usize,
    ) -> Result<u64, RetentionError> {
        let removed = writing(&self.connections, async |connection| {
            remove(connection, MARKED_OF_STREAM, Some(stream), limit).await
        });
        let removed = removed.await.map_err(unavailable("remove events of a stream"))?;
        Ok(removed.map_or(0, |(_, events)| events))
    }

    async fn mark_log(&self, to: GlobalPosition) -> Result<(), RetentionError> {
        writing(&self.connections, async |connection| {
            sqlx::query("UPDATE highwater_log_retention SET removed_to = max(removed_to, ?)")
                .bind(column_number(to.get()))
                .execute(connection)
                .await?;
            Ok(())
        })
        .await
        .map_err(unavailable("mark the log"))
    }

    async fn remove_from_log(
        &self,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, RetentionError> {
        writing(&self.connections, async |connection| {
            remove(connection, MARKED_OF_LOG, None, limit).await
        })
        .await
        .map_err(unavailable("remove events of the log"))
    }
}
