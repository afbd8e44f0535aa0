//! The log's partitions: how a log gets them, what they hold, and what becomes of those that retention
//! took off.
//!
//! What makes them safe stands in 0011_partitions.sql; how they are filled in `roll_over.rs`, how they
//! leave the log in `partition_removal.rs`.

use std::error::Error;
use std::time::Duration;

use highwater_core::{GlobalPosition, ReadError};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::batch_arrays::to_i64;
use crate::read_log::unavailable;
use crate::recorded_row::from_i64;
use crate::roll_over::ask_patiently;

/// Ten times the largest append: an append must lie within a partition as a whole.
const LEAST_SPAN: u64 = 100_000;
/// More than a disk holds, and positions don't run out.
const MOST_SPAN: u64 = 1_000_000_000_000;

/// How long a step waits for statements and appends in flight.
const PATIENCE: Duration = Duration::from_secs(30);

const BEGIN: &str = "SELECT highwater.begin_partitions($1)";
const IS_OPENING: &str =
    "SELECT EXISTS (SELECT FROM highwater.log_partitions p WHERE p.state = 'opening')";
const VALIDATE: [&str; 2] = [
    "ALTER TABLE highwater.events VALIDATE CONSTRAINT events_up_to",
    "ALTER TABLE highwater.event_tags VALIDATE CONSTRAINT event_tags_up_to",
];
const FINISH: &str = "SELECT highwater.finish_partitions()";
const DROP: &str = "SELECT highwater.drop_partition($1)";

/// While it is opening, the first partition is still the whole log.
const PARTITIONS: &str = "
    SELECT p.number, p.state, p.after, p.up_to,
        coalesce(pg_total_relation_size(to_regclass(format('highwater.events_%s', p.number))), 0)
        + coalesce(pg_total_relation_size(to_regclass(format('highwater.event_tags_%s', p.number))), 0)
    FROM highwater.log_partitions p WHERE p.state <> 'opening' ORDER BY p.number";

/// A range of the log's positions in tables of its own.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LogPartition {
    /// Its number: its tables are `highwater.events_<number>` and `highwater.event_tags_<number>`.
    pub number: u32,
    /// What it is to the log.
    pub state: PartitionState,
    /// It holds the positions behind this one.
    pub after: GlobalPosition,
    /// Up to and including this one.
    pub up_to: GlobalPosition,
    /// What its tables take on the disk, indexes included, in bytes.
    pub bytes: u64,
}

/// What a partition is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartitionState {
    /// Behind the live one, and empty: appends will go here when that is full. Without one, they will
    /// wait there for whoever reads the log.
    Next,
    /// Appends go here. There is one of them.
    Live,
    /// Full: nothing is added any more.
    Sealed,
    /// Retention took it off; its tables are there still and belong to nobody.
    Detached,
}

/// Why partitions could not be changed. What was done stays so; the same call again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// Partitions so small would be more work than use.
    #[error("{events} events are too few for a partition; take {least} or more")]
    TooSmall {
        /// How many were asked for.
        events: u64,
        /// The least.
        least: u64,
    },
    /// Positions would run out.
    #[error("{events} events are too many for a partition; take {most} or fewer")]
    TooLarge {
        /// How many were asked for.
        events: u64,
        /// The most.
        most: u64,
    },
    /// The database can't be reached, refuses, or somebody holds on to the log's tables.
    #[error("the database could not {doing}; the same call again goes on where it stopped")]
    Unavailable {
        /// What it was asked to do.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PartitionError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl PostgresStore {
    /// Lays the log out in partitions of some `events_per_partition` positions each (100,000 at
    /// least, a million million at most), so that [`Truncation::of_log_to`](highwater_core::retention::Truncation::of_log_to)
    /// takes old ones off as a whole. What is there becomes the first of them.
    ///
    /// Done once and for the log, by the role that owns the schema, while everybody goes on: the log is
    /// read through once beside appends and readers, and at the end they wait for some milliseconds.
    /// There is no way back. Again, it changes the size of the partitions to come, behind the next one.
    ///
    /// # Errors
    /// [`PartitionError`].
    ///
    /// # Cancel safety
    /// Call again: it goes on with the step that it had come to. Don't leave it there: the first
    /// partition has an end from the first step on (the log's length, an eighth of it and
    /// `events_per_partition` more), and appends that come to it fail until the last step is done.
    pub async fn partition_log(&self, events_per_partition: u64) -> Result<(), PartitionError> {
        match events_per_partition {
            events @ ..LEAST_SPAN => Err(PartitionError::TooSmall { events, least: LEAST_SPAN }),
            events @ LEAST_SPAN..=MOST_SPAN => self.partition_log_finely(events).await,
            events => Err(PartitionError::TooLarge { events, most: MOST_SPAN }),
        }
    }

    /// [`PostgresStore::partition_log`] with partitions as small as tests need them.
    #[doc(hidden)]
    pub async fn partition_log_finely(&self, events: u64) -> Result<(), PartitionError> {
        let begun = ask_patiently(&self.reads, BEGIN, &[&to_i64(events)], PATIENCE).await;
        begun.map_err(stopped("begin to partition the log"))?;
        self.validate().await.map_err(stopped("read the log through"))?;
        let finished = ask_patiently(&self.reads, FINISH, &[], PATIENCE).await;
        finished.map_err(stopped("partition the log"))?;
        Ok(())
    }

    /// The log's partitions, the oldest first; none if it isn't partitioned.
    ///
    /// # Errors
    /// [`ReadError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn partitions(&self) -> Result<Vec<LogPartition>, ReadError> {
        let client = self.reads.get().await.map_err(unavailable)?;
        let rows = client.query(PARTITIONS, &[]).await.map_err(unavailable)?;
        rows.iter().map(partition).collect::<Result<_, _>>().map_err(unavailable)
    }

    /// Drops the tables of a partition that was taken off the log and kept
    /// ([`PostgresOptions::with_detached_partitions_kept`](crate::PostgresOptions::with_detached_partitions_kept)).
    /// A partition of the log, or one that is gone, is left as it is.
    ///
    /// # Errors
    /// [`PartitionError`]: somebody reads the tables, for one.
    ///
    /// # Cancel safety
    /// Dropped or not; call again.
    pub async fn drop_detached_partition(&self, number: u32) -> Result<(), PartitionError> {
        let dropped = self.settle_and_drop(number).await;
        dropped.map_err(stopped("drop the tables of a partition"))
    }

    /// Waits for who might still ask the tables, then drops them.
    pub(crate) async fn settle_and_drop(
        &self,
        number: u32,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.settled_partition(number).await?;
        ask_patiently(&self.reads, DROP, &[&to_i32(number)], PATIENCE).await?;
        Ok(())
    }

    /// Reads the log through, beside appends and readers.
    async fn validate(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut client = self.reads.get().await?;
        if !client.query_one(IS_OPENING, &[]).await?.try_get::<_, bool>(0)? {
            return Ok(());
        }
        for sql in VALIDATE {
            let transaction = client.transaction().await?;
            // The statement time-out is made for appends and pages.
            transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
            transaction.batch_execute(sql).await?;
            transaction.commit().await?;
        }
        Ok(())
    }
}

fn partition(row: &Row) -> Result<LogPartition, tokio_postgres::Error> {
    Ok(LogPartition {
        number: row.try_get::<_, i32>(0)?.unsigned_abs(),
        state: match row.try_get(1)? {
            "next" => PartitionState::Next,
            "live" => PartitionState::Live,
            "sealed" => PartitionState::Sealed,
            _ => PartitionState::Detached,
        },
        after: from_i64(row.try_get(2)?),
        up_to: from_i64(row.try_get(3)?),
        bytes: row.try_get::<_, i64>(4)?.unsigned_abs(),
    })
}

/// As the database counts partitions.
pub(crate) fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn stopped(doing: &'static str) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> PartitionError {
    move |source| PartitionError::Unavailable { doing, source }
}
