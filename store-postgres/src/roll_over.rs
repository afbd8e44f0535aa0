//! Makes the next partition of the log live when an append has met the end of the live one, and sees in
//! the background that there is a next one again.
//!
//! `highwater.roll_over` and `highwater.add_next_partition` (0011_partitions.sql) do it, and have the
//! proof. The one waits for the appends in flight, the other for readers. Both give up soon, so that a
//! transaction which stays open doesn't stop the others for long: they go on between the tries.

use std::error::Error;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use deadpool_postgres::Pool;
use tokio::sync::mpsc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::answer::{GRACE, one_row};
use crate::sqlstate;

/// How often one append makes room and finds that others have filled it meanwhile.
pub(crate) const ROLL_OVERS: usize = 20;

/// What an append asks for at most beyond its own events.
const MOST_WANTED: usize = 65_536;

const ROLL_OVER: &str = "SELECT highwater.roll_over($1)";
const LACKS_NEXT: &str = "SELECT EXISTS (SELECT FROM highwater.log_partitions WHERE state = 'live')
    AND NOT EXISTS (SELECT FROM highwater.log_partitions WHERE state = 'next')";
const ADD_NEXT: &str = "SELECT highwater.add_next_partition()";

/// The first and the longest pause between two tries, which jitter may double. A try stops readers for a
/// tenth of a second or two, so in the background few are made.
const IN_BACKGROUND: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
const WAITED_FOR: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

/// From then on it is said aloud that there is no next partition.
const UNUSUALLY_LONG: Duration = Duration::from_secs(60);

type Failed = Box<dyn Error + Send + Sync>;

/// What to ask for next, when others were faster in the room that was made: some day there is enough for
/// them, too.
pub(crate) fn more_than(wanted: usize) -> usize {
    wanted.saturating_mul(2).min(MOST_WANTED).max(wanted)
}

/// The end of the live partition, as a store's appends come to it.
pub(crate) struct LiveEnd {
    pool: Pool,
    /// Asks for a next partition. One request stands for all that come before it is served.
    wants_next: mpsc::Sender<()>,
}

impl LiveEnd {
    /// If there is no next partition now, it is added at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn of(pool: Pool) -> Self {
        let (wants_next, requests) = mpsc::channel(1);
        let weak = pool.weak();
        tokio::spawn(keep_next(move || weak.upgrade(), requests));
        let end = Self { pool, wants_next };
        end.see_to_the_next();
        end
    }

    /// Makes room for `wanted` events; false if the log isn't partitioned.
    ///
    /// Nothing that it leaves behind matters: another partition is live or not.
    pub(crate) async fn make_room(
        &self,
        wanted: usize,
        patience: Duration,
    ) -> Result<bool, Failed> {
        let wanted = i64::try_from(wanted).unwrap_or(i64::MAX);
        let asked = ask_patiently(&self.pool, ROLL_OVER, &[&wanted], patience).await;
        // Also if it failed: perhaps there was none, and whoever reads was in the way.
        self.see_to_the_next();
        Ok(asked?.try_get::<_, Option<bool>>(0)?.unwrap_or(false))
    }

    fn see_to_the_next(&self) {
        // Full: it will be seen to anyway.
        let _ = self.wants_next.try_send(());
    }
}

/// Adds a next partition when it is asked to, until the store is gone. If this process ends before it
/// could, the next store that is opened does it, or who comes to the end of the live partition.
async fn keep_next(pool: impl Fn() -> Option<Pool>, mut requests: mpsc::Receiver<()>) {
    while requests.recv().await.is_some() {
        let mut begin = Instant::now();
        let mut rests = pauses(IN_BACKGROUND);
        loop {
            let Some(pool) = pool() else { return };
            let Err(error) = add_next(&pool).await else { break };
            drop(pool);
            tell(&*error, begin.elapsed());
            let rest = rests.next().unwrap_or_default();
            match tokio::time::timeout(rest, requests.recv()).await {
                Ok(None) => return,
                // Another one is wanted by now, and more urgently.
                Ok(Some(())) => (begin, rests) = (Instant::now(), pauses(IN_BACKGROUND)),
                Err(_) => {}
            }
        }
    }
}

async fn add_next(pool: &Pool) -> Result<(), Failed> {
    // A role that only reads may not add, and must not hear of it where there is nothing to do.
    if ask_once(pool, LACKS_NEXT, &[], GRACE).await?.try_get(0)? {
        ask_once(pool, ADD_NEXT, &[], GRACE).await?;
    }
    Ok(())
}

fn tell(error: &(dyn Error + Send + Sync + 'static), waited: Duration) {
    if is_lock_in_the_way(error) && waited < UNUSUALLY_LONG {
        tracing::debug!(%error, "the log's next partition could not be added yet");
    } else {
        tracing::warn!(
            %error,
            "the log has no next partition: at the end of the live one, appends will have to wait \
             for it, and it for whoever reads the log"
        );
    }
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
    let mut pauses = pauses(WAITED_FOR);
    loop {
        match ask_once(pool, sql, parameters, patience + GRACE).await {
            Err(error) if is_lock_in_the_way(&*error) && begin.elapsed() < patience => {
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
            other => return other,
        }
    }
}

async fn ask_once(
    pool: &Pool,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    patience: Duration,
) -> Result<Row, Failed> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(sql).await?;
    Ok(one_row(client, &statement, parameters, patience).await??)
}

fn is_lock_in_the_way(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref().is_some_and(sqlstate::is_lock_in_the_way)
}

fn pauses((first, longest): (Duration, Duration)) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
}
