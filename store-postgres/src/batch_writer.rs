//! Writes batches of appends with one call of `highwater.append_batch` each.
//!
//! What the pipeline promises holds for this process only; other processes append at the same time,
//! also to the same streams. A unique violation tells of them: the batch is tried again at once,
//! and now sees what they committed. Somebody committed for each such turn, so the log always moves.

use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::{Client, Object, Pool};
use highwater_core::{
    Append, AppendError, Appended, BatchError, BatchWriter, EventId, StreamHead, StreamVersion,
};
use tokio_postgres::Row;

use crate::batch_arrays::BatchArrays;
use crate::read_log;
use crate::recorded_row::from_i64;
use crate::sqlstate::{self, Meaning};

/// One round trip, and one transaction: no BEGIN and no COMMIT to wait for.
const APPEND: &str = "SELECT outcomes, heads, positions FROM highwater.append_batch(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// How often a batch that others interfered with is tried again before its appends go alone.
const TRIES_TOGETHER: usize = 2;
/// How often an append alone is tried again. Only one that accepts any version can lose so often.
const TRIES_ALONE: usize = 20;

/// What a server that says nothing at all is given beyond its statement time-out.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct PostgresWriter {
    pool: Pool,
    patience: Duration,
}

enum Failure {
    Meant(Meaning, Box<dyn std::error::Error + Send + Sync>),
    /// Nothing was sent.
    NotSent(Box<dyn std::error::Error + Send + Sync>),
}

/// What `append_batch` says, in the order of its arrays.
struct Report {
    outcomes: Vec<i32>,
    heads: Vec<i64>,
    positions: Vec<i64>,
}

impl PostgresWriter {
    pub(crate) fn new(pool: Pool, statement_timeout: Duration) -> Self {
        Self { pool, patience: statement_timeout + GRACE }
    }

    async fn call(&self, client: Object, arrays: &BatchArrays<'_>) -> Result<Report, Failure> {
        let statement = client
            .prepare_cached(APPEND)
            .await
            .map_err(|error| Failure::NotSent(Box::new(error)))?;
        let parameters = arrays.parameters();
        let answered =
            tokio::time::timeout(self.patience, client.query_one(&statement, &parameters)).await;
        match answered {
            Ok(Ok(row)) => Report::read(&row)
                .map_err(|error| Failure::Meant(Meaning::OutcomeUnknown, Box::new(error))),
            Ok(Err(error)) => Err(Failure::Meant(sqlstate::of_statement(&error), Box::new(error))),
            Err(elapsed) => {
                // Nobody may get this connection next: its answer is still to come.
                drop(Object::take(client));
                Err(Failure::Meant(Meaning::OutcomeUnknown, Box::new(elapsed)))
            }
        }
    }

    async fn client(&self) -> Result<Client, BatchError> {
        let client = self.pool.get().await;
        client.map_err(|error| BatchError::Unavailable { source: Box::new(error) })
    }

    async fn outcomes(
        &self,
        batch: &[Append],
        order: &[usize],
        report: &Report,
    ) -> Vec<Result<Appended, AppendError>> {
        let mut outcomes: Vec<_> = batch.iter().map(|_| None).collect();
        let mut positions = report.positions.iter();
        let mut heads = &report.heads[..];
        for (&index, outcome) in order.iter().zip(&report.outcomes) {
            let append = &batch[index];
            let (own_heads, others) = heads.split_at(append.streams().len().min(heads.len()));
            heads = others;
            outcomes[index] = Some(match *outcome {
                0 => Ok(appended(append, own_heads, positions.next().copied())),
                1 => Err(conflict(append, own_heads)),
                2 => self.repeated(append).await,
                _ => Err(AppendError::ConditionFailed),
            });
        }
        outcomes.into_iter().flatten().collect()
    }

    /// The append's ids are in the log: put there by an earlier try of it, or by somebody else.
    async fn repeated(&self, append: &Append) -> Result<Appended, AppendError> {
        // What the earlier try did is not known until it is found.
        let unknown = |source| AppendError::OutcomeUnknown { source };
        let client = self.pool.get().await.map_err(|error| unknown(Box::new(error)))?;
        let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
        let found =
            read_log::find(&client, &ids).await.map_err(|error| unknown(Box::new(error)))?;
        match (Appended::of_earlier_try(append, &found), found.first()) {
            (Some(appended), _) => Ok(appended),
            (None, Some(taken)) => Err(AppendError::EventIdTaken { id: taken.id }),
            (None, None) => Err(unknown("the events were there a moment ago".into())),
        }
    }
}

impl Report {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            outcomes: row.try_get(0)?,
            heads: row.try_get(1)?,
            // Null if nothing was appended.
            positions: row.try_get::<_, Option<_>>(2)?.unwrap_or_default(),
        })
    }
}

fn appended(append: &Append, heads_before: &[i64], position: Option<i64>) -> Appended {
    let heads = append.streams().iter().zip(heads_before).map(|(part, head)| StreamHead {
        stream: part.stream.clone(),
        version: StreamVersion::new(head.unsigned_abs()).plus(part.events.len() as u64),
    });
    Appended {
        position: from_i64(position.unwrap_or_default()),
        heads: heads.collect(),
        was_repeated: false,
    }
}

fn conflict(append: &Append, heads: &[i64]) -> AppendError {
    let actual = |head: &i64| StreamVersion::new(head.unsigned_abs());
    append
        .streams()
        .iter()
        .zip(heads)
        .find(|(part, head)| !part.expected.is_met_by(actual(head)))
        .map_or(AppendError::ConditionFailed, |(part, head)| AppendError::VersionConflict {
            stream: part.stream.clone(),
            expected: part.expected,
            actual: actual(head),
        })
}

#[async_trait]
impl BatchWriter for PostgresWriter {
    async fn write(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, AppendError>>, BatchError> {
        let is_alone = batch.len() == 1;
        let arrays = match BatchArrays::of(batch) {
            Ok(arrays) => arrays,
            Err(error) => return refused(is_alone, Box::new(error)),
        };
        let mut pauses = pauses(if is_alone { TRIES_ALONE } else { TRIES_TOGETHER });
        loop {
            let (meaning, source) = match self.call(self.client().await?, &arrays).await {
                Ok(report) => return Ok(self.outcomes(batch, &arrays.order, &report).await),
                Err(Failure::NotSent(source)) => return Err(BatchError::Unavailable { source }),
                Err(Failure::Meant(meaning, source)) => (meaning, source),
            };
            match meaning {
                Meaning::OutcomeUnknown => return Err(BatchError::OutcomeUnknown { source }),
                Meaning::Unavailable => return Err(BatchError::Unavailable { source }),
                Meaning::Refused => return refused(is_alone, source),
                Meaning::Interfered => match pauses.next() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None if is_alone => return Ok(vec![Err(AppendError::Unavailable { source })]),
                    None => return Err(BatchError::Interfered { source }),
                },
            }
        }
    }
}

/// One append's data mustn't fail its neighbours: in a batch, each is tried alone.
fn refused(
    is_alone: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Result<Vec<Result<Appended, AppendError>>, BatchError> {
    if is_alone {
        Ok(vec![Err(AppendError::Refused { source })])
    } else {
        Err(BatchError::Interfered { source })
    }
}

/// Short: what interfered has committed already, or is about to.
fn pauses(times: usize) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_micros(200))
        .with_max_delay(Duration::from_millis(50))
        .with_max_times(times)
        .with_jitter()
        .build()
}
