//! Appending: a batch of appends in one transaction, one sync for all of them.
//!
//! # Invariants
//! 1. The transaction begins with `BEGIN IMMEDIATE`, so it holds the file's only write lock before
//!    it looks at anything: what it then reads of ids, versions and conditions stays true until it
//!    commits, whatever other processes want.
//! 2. Everything is decided before the first row is written ([`BatchPlan`]). A conflict is found by
//!    looking, never by a failing statement, so it needs no savepoint and costs nobody anything.
//! 3. If anything fails, the connection is discarded with its transaction. Only a failed commit
//!    leaves a doubt, and only if the failure doesn't tell that nothing was written.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use highwater_core::{
    Append, AppendError, Appended, BatchError, BatchWriter, GlobalPosition, StreamId, StreamVersion,
};
use jiff::Timestamp;
use sqlx::{Connection, Sqlite, SqliteConnection};

use crate::batch_plan::{BatchPlan, Known, Placed};
use crate::connections::Connections;
use crate::query_sql::{groups, select_any_match};
use crate::read_log::find;
use crate::recorded_row::column_number;
use crate::result_code::SqliteFault;

type Outcomes = Vec<Result<Appended, AppendError>>;

/// Writes batches to the file.
pub(crate) struct Appends {
    connections: Arc<Connections>,
}

impl Appends {
    pub(crate) fn new(connections: Arc<Connections>) -> Self {
        Self { connections }
    }
}

#[async_trait]
impl BatchWriter for Appends {
    async fn write(&self, batch: &[Append]) -> Result<Outcomes, BatchError> {
        let mut writer = self.connections.writer().await.map_err(SqliteFault::before_commit)?;
        match write(&mut writer.connection, batch).await {
            Ok(outcomes) => {
                writer.put_back();
                Ok(outcomes)
            }
            Err(error) => {
                writer.discard().await;
                Err(error)
            }
        }
    }
}

async fn write(
    connection: &mut SqliteConnection,
    batch: &[Append],
) -> Result<Outcomes, BatchError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(before_commit)?;
    let plan = plan(&mut transaction, batch).await?;
    if plan.placed.is_empty() {
        transaction.rollback().await.map_err(before_commit)?;
        return Ok(plan.outcomes);
    }
    insert_events(&mut transaction, &plan).await?;
    insert_tags(&mut transaction, &plan.placed).await?;
    transaction.commit().await.map_err(|error| SqliteFault::from(error).at_commit())?;
    Ok(plan.outcomes)
}

fn before_commit(error: sqlx::Error) -> BatchError {
    SqliteFault::from(error).before_commit()
}

pub(crate) async fn plan<'a>(
    connection: &mut SqliteConnection,
    batch: &'a [Append],
) -> Result<BatchPlan<'a>, BatchError> {
    let mut plan = BatchPlan::new(known(connection, batch).await?, now());
    for append in batch {
        if let Some(outcome) = plan.judge(append) {
            plan.outcomes.push(outcome);
        } else if plan.brings_match_for(append) || log_brings_match_for(connection, append).await? {
            plan.outcomes.push(Err(AppendError::ConditionFailed));
        } else {
            plan.accept(append);
        }
    }
    Ok(plan)
}

/// In the precision that is stored.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// Reads what the log holds that the batch could meet: two statements, however many appends.
async fn known(connection: &mut SqliteConnection, batch: &[Append]) -> Result<Known, BatchError> {
    let ids = batch.iter().flat_map(Append::events).map(|event| event.id);
    let found = find(&mut *connection, ids)
        .await
        .map_err(|error| BatchError::Unavailable { source: Box::new(error) })?;
    let parts = batch.iter().flat_map(Append::streams);
    let streams: Vec<&StreamId> = parts.map(|part| &part.stream).collect();
    let names: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
    let json = serde_json::to_string(&names)
        .map_err(|error| BatchError::Unavailable { source: Box::new(error) })?;
    // A stream that lost its last event goes on behind its mark: no version is given twice.
    let heads: Vec<(i64, i64, bool)> = sqlx::query_as(
        "SELECT -1, coalesce(max(position), 0), 0 FROM highwater_events UNION ALL SELECT key, max(\
         coalesce((SELECT max(version) FROM highwater_events WHERE stream_id = value), 0), \
         coalesce(r.removed_to, 0)), coalesce((SELECT type = 'highwater.tombstone' \
         FROM highwater_events WHERE stream_id = value ORDER BY version DESC LIMIT 1), \
         r.is_tombstoned, 0) \
         FROM json_each(?) LEFT JOIN highwater_stream_retention r ON r.stream_id = value",
    )
    .bind(json)
    .fetch_all(connection)
    .await
    .map_err(before_commit)?;
    let mut known =
        Known { found, versions: HashMap::with_capacity(streams.len()), ..Known::default() };
    for (key, number, is_tombstoned) in heads {
        let number = number.unsigned_abs();
        match usize::try_from(key) {
            Err(_) => known.head = GlobalPosition::new(number),
            Ok(index) => {
                let stream = streams[index].clone();
                if is_tombstoned {
                    known.tombstoned.insert(stream.clone());
                }
                known.versions.insert(stream, StreamVersion::new(number));
            }
        }
    }
    Ok(known)
}

async fn log_brings_match_for(
    connection: &mut SqliteConnection,
    append: &Append,
) -> Result<bool, BatchError> {
    let Some(condition) = append.condition() else {
        return Ok(false);
    };
    for group in groups(&condition.query) {
        let mut select = select_any_match(group, condition.after);
        let found = select.build().fetch_optional(&mut *connection).await.map_err(before_commit)?;
        if found.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many rows one statement inserts: a few fixed numbers, so that the statements stay prepared.
const ROWS: [usize; 4] = [200, 40, 8, 1];

static INSERT_EVENTS: LazyLock<[String; 4]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        let head = "INSERT INTO highwater_events (position, stream_id, version, event_id, type, \
                    schema_version, tags, data, metadata, recorded_at_us) VALUES ";
        format!("{head}{}", vec!["(?,?,?,?,?,?,?,?,?,?)"; rows].join(","))
    })
});

static INSERT_TAGS: LazyLock<[String; 4]> = LazyLock::new(|| {
    ROWS.map(|rows| {
        // An event may carry a tag twice; the index needs it once.
        let head = "INSERT OR IGNORE INTO highwater_event_tags (tag, position) VALUES ";
        format!("{head}{}", vec!["(?,?)"; rows].join(","))
    })
});

type Insert = sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments>;

/// Inserts all rows with as few statements as the fixed sizes allow.
async fn insert<R>(
    connection: &mut SqliteConnection,
    statements: &'static [String; 4],
    mut rows: &[R],
    bind: impl Fn(Insert, &R) -> Result<Insert, serde_json::Error>,
) -> Result<(), BatchError> {
    while !rows.is_empty() {
        let size = ROWS.iter().position(|size| *size <= rows.len()).unwrap_or(ROWS.len() - 1);
        let (now, later) = rows.split_at(ROWS[size]);
        let mut insert = sqlx::query(statements[size].as_str());
        for row in now {
            insert = bind(insert, row)
                .map_err(|error| BatchError::Unavailable { source: Box::new(error) })?;
        }
        insert.execute(&mut *connection).await.map_err(before_commit)?;
        rows = later;
    }
    Ok(())
}

pub(crate) async fn insert_events(
    connection: &mut SqliteConnection,
    plan: &BatchPlan<'_>,
) -> Result<(), BatchError> {
    let recorded_at_us = plan.recorded_at.as_microsecond();
    insert(connection, &INSERT_EVENTS, &plan.placed, |insert, placed| {
        let event = placed.event;
        let tags = (!event.tags.is_empty()).then(|| serde_json::to_string(&event.tags));
        let metadata = (!event.metadata.is_empty()).then(|| serde_json::to_string(&event.metadata));
        Ok(insert
            .bind(column_number(placed.position.get()))
            .bind(placed.stream.as_str().to_owned())
            .bind(column_number(placed.version.get()))
            .bind(event.id.as_uuid().as_bytes().to_vec())
            .bind(event.event_type.as_str().to_owned())
            .bind(event.schema_version)
            .bind(tags.transpose()?)
            .bind(event.data.as_json().to_owned())
            .bind(metadata.transpose()?)
            .bind(recorded_at_us))
    })
    .await
}

pub(crate) async fn insert_tags(
    connection: &mut SqliteConnection,
    placed: &[Placed<'_>],
) -> Result<(), BatchError> {
    let tags: Vec<_> = placed
        .iter()
        .flat_map(|placed| placed.event.tags.iter().map(|tag| (tag, placed.position)))
        .collect();
    insert(connection, &INSERT_TAGS, &tags, |insert, (tag, position)| {
        Ok(insert.bind(tag.as_str().to_owned()).bind(column_number(position.get())))
    })
    .await
}
