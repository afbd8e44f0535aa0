//! Writes batches of appends with one call of a function of the schema each.
//!
//! What most appends are, one stream and no condition or one on a single tag, goes the short way
//! (`append_events`, or `append_event` for one event to a stream at a certain version). Those know
//! "appended" and "not appended"; whatever isn't appended is asked of `append_batch`, which knows why, and
//! may append it after all. A retry under the same event ids meets a unique index on the short way, so it
//! is `append_batch` that recognises it.
//!
//! What the pipeline promises holds for this process only; other processes append at the same time,
//! also to the same streams. A unique violation tells of them: the batch is tried again at once,
//! and now sees what they committed. Somebody committed for each such try, so the log always moves; and
//! an append that was overtaken alone waits in line for the next, so that it isn't always somebody else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::Pool;
use highwater_core::{
    Append, AppendError, Appended, BatchError, BatchWriter, EventId, ExpectedVersion, StreamHead,
    StreamVersion,
};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::answer::{GRACE, one_row};
use crate::batch_arrays::BatchArrays;
use crate::plain_arrays::{PlainArrays, are_plain};
use crate::read_log;
use crate::recorded_row::{Recorded, from_i64};
use crate::roll_over::{LiveEnd, ROLL_OVERS, more_than};
use crate::sqlstate::{self, Meaning};

/// One round trip each, and one transaction: no BEGIN and no COMMIT to wait for. now() is when the
/// transaction began, which is what its events are recorded at.
const APPEND_EVENT: &str = "SELECT highwater.append_event($1, $2, $3, $4, $5, $6, $7), now()";
const APPEND_EVENTS: &str =
    "SELECT appended, positions, versions, now() FROM highwater.append_events(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
pub(crate) const APPEND_BATCH: &str =
    "SELECT outcomes, heads, positions, now() FROM highwater.append_batch(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
/// The same for one that others overtook.
const APPEND_IN_TURN: &str =
    "SELECT outcomes, heads, positions, now() FROM highwater.append_in_turn(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// How often a batch that others interfered with is tried again before its appends go alone.
const TRIES_TOGETHER: usize = 2;
/// How often an append alone is sent again. In line it is tried several times each time, so who comes so
/// far meets a constraint that isn't the log's.
const TRIES_ALONE: usize = 20;

pub(crate) struct PostgresWriter {
    pool: Pool,
    end: Arc<LiveEnd>,
    patience: Duration,
}

enum Failure {
    Meant(Meaning, Box<dyn std::error::Error + Send + Sync>),
    /// Nothing was sent.
    NotSent(Box<dyn std::error::Error + Send + Sync>),
    /// The live partition of the log has no room for it. Nothing was written.
    PartitionFull(Box<dyn std::error::Error + Send + Sync>),
}

/// What `append_batch` says, in the order of its arrays.
pub(crate) struct Report {
    pub(crate) outcomes: Vec<i32>,
    pub(crate) heads: Vec<i64>,
    pub(crate) positions: Vec<i64>,
    pub(crate) recorded_at: Timestamp,
}

/// What the short ways say of the events that were appended: the places that they have in the
/// arrays (from 1 on), their positions, their versions.
#[derive(Default)]
struct Written {
    appended: Vec<i32>,
    positions: Vec<i64>,
    versions: Vec<i64>,
    recorded_at: Timestamp,
}

/// The database spoke of an event that wasn't sent.
#[derive(Debug, thiserror::Error)]
#[error("the answer names an event that wasn't sent")]
struct NoSuchEvent;

type Outcome = Result<Appended, AppendError>;
type Outcomes = Vec<Outcome>;

impl PostgresWriter {
    pub(crate) fn new(pool: Pool, end: Arc<LiveEnd>, statement_timeout: Duration) -> Self {
        Self { pool, end, patience: statement_timeout + GRACE }
    }

    /// Calls a function that appends `events`; at the end of a partition the next one is made live first.
    async fn call(
        &self,
        sql: &str,
        events: usize,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Failure> {
        let mut wanted = events;
        for _ in 0..ROLL_OVERS {
            match self.call_once(sql, parameters).await {
                Err(Failure::PartitionFull(source)) => self.make_room(wanted, source).await?,
                other => return other,
            }
            wanted = more_than(wanted);
        }
        self.call_once(sql, parameters).await
    }

    /// Whatever this runs into, nothing was appended.
    async fn make_room(
        &self,
        events: usize,
        met: Box<dyn std::error::Error + Send + Sync>,
    ) -> Result<(), Failure> {
        match self.end.make_room(events, self.patience).await {
            Ok(true) => Ok(()),
            // Not partitioned: there are no positions left.
            Ok(false) => Err(Failure::Meant(Meaning::Refused, met)),
            Err(error) => Err(Failure::NotSent(error)),
        }
    }

    async fn call_once(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Failure> {
        let client = self.pool.get().await.map_err(|error| Failure::NotSent(Box::new(error)))?;
        let statement =
            client.prepare_cached(sql).await.map_err(|error| Failure::NotSent(Box::new(error)))?;
        match one_row(client, &statement, parameters, self.patience).await {
            Ok(Ok(row)) => Ok(row),
            Ok(Err(error)) if sqlstate::is_end_of_partition(&error) => {
                Err(Failure::PartitionFull(Box::new(error)))
            }
            Ok(Err(error)) => Err(Failure::Meant(sqlstate::of_statement(&error), Box::new(error))),
            Err(elapsed) => Err(Failure::Meant(Meaning::OutcomeUnknown, Box::new(elapsed))),
        }
    }

    /// The short way: the outcome of each append that was appended. The others are still to be
    /// decided.
    async fn call_plain(
        &self,
        batch: &[Append],
        arrays: &PlainArrays<'_>,
    ) -> Result<Vec<Option<Appended>>, Failure> {
        let written = if let Some((expected, parameters)) = arrays.single() {
            Written::of_event(&self.call(APPEND_EVENT, 1, &parameters).await?, expected)
        } else {
            let events = arrays.owners.len();
            Written::of_events(&self.call(APPEND_EVENTS, events, &arrays.parameters()).await?)
        };
        let written = written.map_err(unreadable)?;
        let mut outcomes: Vec<Option<Appended>> = batch.iter().map(|_| None).collect();
        for (event, position, version) in written.events() {
            let owner = usize::try_from(event - 1).ok().and_then(|event| arrays.owners.get(event));
            let append =
                owner.and_then(|&owner| Some((batch.get(owner)?, outcomes.get_mut(owner)?)));
            let Some((append, outcome)) = append else {
                return Err(unreadable(NoSuchEvent));
            };
            // The events of an append come in their order: the last one stays.
            let version = StreamVersion::new(version.unsigned_abs());
            *outcome = Some(Appended {
                position: from_i64(position),
                recorded_at: written.recorded_at,
                heads: vec![StreamHead { stream: append.streams()[0].stream.clone(), version }],
                was_repeated: false,
            });
        }
        Ok(outcomes)
    }

    /// The long way, for what the short one left open or can't take: again and again while others
    /// interfere.
    async fn write_precisely(
        &self,
        batch: &[&Append],
        was_overtaken: bool,
    ) -> Result<Outcomes, BatchError> {
        let is_alone = batch.len() == 1;
        let events = batch.iter().map(|append| append.event_count()).sum();
        let arrays = match BatchArrays::of(batch) {
            Ok(arrays) => arrays,
            Err(error) => return refused(is_alone, Box::new(error)),
        };
        let mut pauses = pauses(if is_alone { TRIES_ALONE } else { TRIES_TOGETHER });
        // Neither a batch waits in line, most of which has nothing to do with the stream that is fought
        // over, nor who was overtaken for good.
        let may_wait = is_alone && batch.iter().all(|append| accepts_others(append));
        let mut in_turn = may_wait && was_overtaken;
        loop {
            let sql = if in_turn { APPEND_IN_TURN } else { APPEND_BATCH };
            let called = self.call(sql, events, &arrays.parameters()).await;
            match called.and_then(|row| Report::read(&row).map_err(unreadable)) {
                Ok(report) => return Ok(self.outcomes(batch, &arrays.order, &report).await),
                Err(Failure::Meant(Meaning::Interfered, source)) => {
                    in_turn = may_wait;
                    match pauses.next() {
                        Some(pause) => tokio::time::sleep(pause).await,
                        None if is_alone => {
                            return Ok(vec![Err(AppendError::Unavailable { source })]);
                        }
                        None => return Err(BatchError::Interfered { source }),
                    }
                }
                Err(failure) => return failed(is_alone, failure),
            }
        }
    }

    /// Decides what the short way left open of a batch that it wrote in part.
    async fn decide_rest(
        &self,
        batch: &[Append],
        written: Vec<Option<Appended>>,
    ) -> Result<Outcomes, BatchError> {
        let mut outcomes: Vec<Option<Outcome>> =
            written.into_iter().map(|written| written.map(Ok)).collect();
        let open: Vec<usize> =
            (0..batch.len()).filter(|&index| outcomes[index].is_none()).collect();
        let mut groups = vec![open];
        while let Some(group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let appends: Vec<_> = group.iter().map(|&index| &batch[index]).collect();
            match self.write_precisely(&appends, false).await {
                Ok(decided) => {
                    for (index, outcome) in group.into_iter().zip(decided) {
                        outcomes[index] = Some(outcome);
                    }
                }
                Err(BatchError::Interfered { .. }) if group.len() > 1 => {
                    groups.extend(group.into_iter().map(|index| vec![index]));
                }
                // Of the batch as a whole nobody may say "nothing was written" any more. Repeated,
                // what was written is recognised.
                Err(
                    BatchError::Interfered { source }
                    | BatchError::Unavailable { source }
                    | BatchError::OutcomeUnknown { source },
                ) => return Err(BatchError::OutcomeUnknown { source }),
                Err(other) => return Err(BatchError::OutcomeUnknown { source: Box::new(other) }),
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    async fn outcomes(&self, batch: &[&Append], order: &[usize], report: &Report) -> Outcomes {
        let mut outcomes: Vec<_> = batch.iter().map(|_| None).collect();
        let mut positions = report.positions.iter();
        let mut heads = &report.heads[..];
        for (&index, outcome) in order.iter().zip(&report.outcomes) {
            let append = batch[index];
            let (own_heads, others) = heads.split_at(append.streams().len().min(heads.len()));
            heads = others;
            outcomes[index] = Some(match *outcome {
                0 => {
                    let position = positions.next().copied();
                    Ok(appended(append, own_heads, position, report.recorded_at))
                }
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

impl Written {
    /// Of an event that was expected to go behind this version.
    fn of_event(row: &Row, expected: i64) -> Result<Self, tokio_postgres::Error> {
        let recorded_at = row.try_get::<_, Recorded>(1)?.0;
        Ok(match row.try_get(0)? {
            Some(position) => Self {
                appended: vec![1],
                positions: vec![position],
                versions: vec![expected + 1],
                recorded_at,
            },
            None => Self::default(),
        })
    }

    fn of_events(row: &Row) -> Result<Self, tokio_postgres::Error> {
        // Null if nothing was appended.
        Ok(Self {
            appended: row.try_get::<_, Option<_>>(0)?.unwrap_or_default(),
            positions: row.try_get::<_, Option<_>>(1)?.unwrap_or_default(),
            versions: row.try_get::<_, Option<_>>(2)?.unwrap_or_default(),
            recorded_at: row.try_get::<_, Recorded>(3)?.0,
        })
    }

    fn events(&self) -> impl Iterator<Item = (i32, i64, i64)> {
        let places = self.appended.iter().zip(&self.positions).zip(&self.versions);
        places.map(|((&event, &position), &version)| (event, position, version))
    }
}

impl Report {
    pub(crate) fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            outcomes: row.try_get(0)?,
            heads: row.try_get(1)?,
            // Null if nothing was appended.
            positions: row.try_get::<_, Option<_>>(2)?.unwrap_or_default(),
            recorded_at: row.try_get::<_, Recorded>(3)?.0,
        })
    }
}

pub(crate) fn appended(
    append: &Append,
    heads_before: &[i64],
    position: Option<i64>,
    recorded_at: Timestamp,
) -> Appended {
    let heads = append.streams().iter().zip(heads_before).map(|(part, head)| StreamHead {
        stream: part.stream.clone(),
        version: StreamVersion::new(head.unsigned_abs()).plus(part.events.len() as u64),
    });
    Appended {
        position: from_i64(position.unwrap_or_default()),
        recorded_at,
        heads: heads.collect(),
        was_repeated: false,
    }
}

/// The head of a stream that has ended.
const TOMBSTONED: i64 = i64::MAX;

pub(crate) fn conflict(append: &Append, heads: &[i64]) -> AppendError {
    let mut parts = append.streams().iter().zip(heads);
    if let Some((part, _)) = parts.find(|(_, head)| **head == TOMBSTONED) {
        return AppendError::StreamTombstoned { stream: part.stream.clone() };
    }
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
    async fn write(&self, batch: &[Append]) -> Result<Outcomes, BatchError> {
        let all = || batch.iter().collect::<Vec<_>>();
        if !are_plain(batch) {
            return self.write_precisely(&all(), false).await;
        }
        let is_alone = batch.len() == 1;
        let arrays = match PlainArrays::of(batch) {
            Ok(arrays) => arrays,
            Err(error) => return refused(is_alone, Box::new(error)),
        };
        let written = match self.call_plain(batch, &arrays).await {
            Ok(written) => written,
            // Somebody elsewhere writes one of the streams, or one of the ids is there.
            Err(Failure::Meant(Meaning::Interfered, _)) => {
                return self.write_precisely(&all(), true).await;
            }
            Err(failure) => return failed(is_alone, failure),
        };
        if written.iter().all(Option::is_none) {
            return self.write_precisely(&all(), false).await;
        }
        self.decide_rest(batch, written).await
    }
}

/// True if the append may succeed though others have appended to its streams.
fn accepts_others(append: &Append) -> bool {
    let any = [ExpectedVersion::Any, ExpectedVersion::StreamExists];
    append.streams().iter().all(|part| any.contains(&part.expected))
}

/// What a call that failed for good means for the batch.
fn failed(is_alone: bool, failure: Failure) -> Result<Outcomes, BatchError> {
    match failure {
        Failure::NotSent(source)
        | Failure::PartitionFull(source)
        | Failure::Meant(Meaning::Unavailable, source) => Err(BatchError::Unavailable { source }),
        Failure::Meant(Meaning::OutcomeUnknown, source) => {
            Err(BatchError::OutcomeUnknown { source })
        }
        Failure::Meant(Meaning::Interfered, source) => Err(BatchError::Interfered { source }),
        Failure::Meant(Meaning::Refused, source) => refused(is_alone, source),
    }
}

/// It was carried out, but what became of it can't be told.
fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Meant(Meaning::OutcomeUnknown, Box::new(error))
}

/// One append's data mustn't fail its neighbours: in a batch, each is tried alone.
fn refused(
    is_alone: bool,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Result<Outcomes, BatchError> {
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
