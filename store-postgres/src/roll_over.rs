//! Adds the next partition of the log when an append has met the end of the live one.
//!
//! `highwater.roll_over` (0011_partitions.sql) does it, and has the proof. It waits for the appends in
//! flight and gives up soon, so that one which stays open doesn't stop the others for long: they go on
//! between the tries, as far as they fit.

use std::error::Error;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::Pool;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::answer::{GRACE, one_row};
use crate::sqlstate;

/// How often one append adds a partition and finds that others have filled it meanwhile.
pub(crate) const ROLL_OVERS: usize = 20;

/// What an append asks for at most beyond its own events.
const MOST_WANTED: usize = 65_536;

const ROLL_OVER: &str = "SELECT highwater.roll_over($1)";

type Failed = Box<dyn Error + Send + Sync>;

/// What to ask for next, when others were faster in the room that was made: some day there is enough for
/// them, too.
pub(crate) fn more_than(wanted: usize) -> usize {
    wanted.saturating_mul(2).min(MOST_WANTED).max(wanted)
}

/// Makes room for `wanted` events; false if the log isn't partitioned.
///
/// Nothing that it leaves behind matters: a partition was added or not.
pub(crate) async fn roll_over(
    pool: &Pool,
    wanted: usize,
    patience: Duration,
) -> Result<bool, Failed> {
    let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
    let row = ask_patiently(pool, ROLL_OVER, &[&wanted], patience).await?;
    Ok(row.try_get::<_, Option<bool>>(0)?.unwrap_or(false))
}

/// Asks again while locks are in the way: each try waits for one of them for a tenth of a second at
/// most, and lets the others go on before the next.
pub(crate) async fn ask_patiently(
    pool: &Pool,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    patience: Duration,
) -> Result<Row, Failed> {
    let begin = Instant::now();
    let mut pauses = pauses();
    loop {
        let client = pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        match one_row(client, &statement, parameters, patience + GRACE).await? {
            Err(error) if sqlstate::is_lock_in_the_way(&error) && begin.elapsed() < patience => {
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
            other => return Ok(other?),
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(200))
        .without_max_times()
        .with_jitter()
        .build()
}
