//! Writers of several processes while the log adds hundreds of partitions, and the oracle: every
//! acknowledged event once, versions without gaps, nothing late for a reader, every repetition
//! recognised.

use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::{PartitionState, PostgresStore};
use highwater::{
    Append, AppendCondition, AppendError, Appended, EventStore, ExpectedVersion, GlobalPosition,
    Selection, StreamVersion,
};
use highwater_tests::conformance::log::given::{
    event, events, everything, query_tagged, stream, tagged, to_any,
};
use highwater_tests::conformance::log::oracle::{
    Attempt, Tail, Violation, check_attempts, check_versions,
};
use highwater_tests::services::Database;
use tokio::sync::watch;
use tokio_postgres::Client;

use super::{log_in_partitions_of, open, partitions, run, session};

/// So many stores write, each a process as far as the database can tell.
const PROCESSES: usize = 4;

/// How much of a race is run.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) events_per_partition: u64,
    pub(super) writers: usize,
    pub(super) rounds: usize,
}

/// What a race did, so that a test can tell that it was one.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) partitions: usize,
    pub(super) repeated: usize,
}

/// Runs the race on a log that `broken` has changed.
///
/// # Errors
/// The first violation that is found.
pub(super) async fn race(plan: Plan, broken: &str) -> Result<Report, Violation> {
    let (database, store) = log_in_partitions_of(plan.events_per_partition).await;
    run(&session(&database).await, broken).await;
    let (finish, finished) = watch::channel(None);
    let reader = tokio::spawn(follow(open(&database).await, finished));
    let attempts = write(&database, plan).await;
    finish.send_replace(Some(store.high_water_mark().await.expect("a mark")));
    let tail = reader.await.expect("no panic")?;
    let attempts = attempts?;
    let log = everything(&*store, &Selection::All).await;
    tail.check(&log)?;
    check_versions(&log)?;
    let repeated = attempts.iter().filter(|attempt| was_repeated(attempt)).count();
    check_attempts(&log, &attempts)?;
    let sealed = partitions(&store, PartitionState::Sealed).await;
    Ok(Report { partitions: sealed.len() + 1, repeated })
}

fn was_repeated(attempt: &Attempt) -> bool {
    attempt.acknowledged.as_ref().is_some_and(|appended| appended.was_repeated)
}

async fn write(database: &Database, plan: Plan) -> Result<Vec<Attempt>, Violation> {
    let mut stores = Vec::new();
    for _ in 0..PROCESSES {
        stores.push(open(database).await);
    }
    let writers: Vec<_> = (0..plan.writers)
        .map(|index| {
            let store = stores[index % PROCESSES].clone();
            let writer = Writer { store, index, attempts: Vec::new(), history: Vec::new() };
            tokio::spawn(writer.run(plan.rounds))
        })
        .collect();
    let mut attempts = Vec::new();
    let mut violated = None;
    for writer in writers {
        match writer.await.expect("no panic") {
            Ok(made) => attempts.extend(made),
            Err(violation) => violated = Some(violation),
        }
    }
    violated.map_or(Ok(attempts), Err)
}

/// Reads along to the end that is named when all have written.
async fn follow(
    store: Arc<PostgresStore>,
    finish: watch::Receiver<Option<GlobalPosition>>,
) -> Result<Tail, Violation> {
    let mut tail = Tail::new("of all", Selection::All);
    while (*finish.borrow()).is_none_or(|end| tail.read_to < end) {
        match store.read_all(&Selection::All, tail.read_to, 50).await {
            Ok(page) => tail.take(&page)?,
            // Its connection was cut.
            Err(error) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
    Ok(tail)
}

struct Writer {
    store: Arc<PostgresStore>,
    index: usize,
    attempts: Vec<Attempt>,
    /// What it appended, to be repeated.
    history: Vec<(Append, Appended)>,
}

impl Writer {
    async fn run(mut self, rounds: usize) -> Result<Vec<Attempt>, Violation> {
        for round in 0..rounds {
            let append = self.next(round).await;
            self.append(append).await?;
            if round % 4 == 3 {
                self.repeat(round * 7).await?;
            }
        }
        Ok(self.attempts)
    }

    /// Hot streams that all write, one event and several; cold ones; several at once; conditions.
    async fn next(&self, round: usize) -> Append {
        let cold = stream(&format!("cold-{}-{}", self.index, round % 5));
        match (self.index / PROCESSES + round) % 6 {
            0 | 1 => to_any(&stream("hot"), vec![event("raced")]),
            2 => to_any(&stream("warm"), vec![tagged("raced", &["some:1"]), event("other")]),
            3 => to_any(&cold, vec![event("raced")]).and_to(
                stream("hot"),
                ExpectedVersion::Any,
                events(1),
            ),
            4 => {
                let read = self.store.read_stream(&cold, StreamVersion::EMPTY, 1_000).await;
                let head = read.ok().and_then(|read| read.last().map(|last| last.version));
                let expected = head.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact);
                Append::to(cold, expected, vec![event("raced")])
            }
            _ => {
                let own = format!("own:{}", self.index);
                let condition =
                    AppendCondition::new(query_tagged(&["nobody:1"]), GlobalPosition::START);
                to_any(&cold, vec![tagged("raced", &[&own])]).with_condition(condition)
            }
        }
    }

    async fn append(&mut self, append: Append) -> Result<(), Violation> {
        let ids = append.events().map(|event| event.id).collect();
        let appended = until_known(&*self.store, &append).await?;
        if let Some(appended) = appended {
            self.history.push((append, appended.clone()));
            self.attempts.push(Attempt { ids, decision: None, acknowledged: Some(appended) });
        }
        Ok(())
    }

    /// Appends an earlier append again: of this partition, or of one long sealed.
    async fn repeat(&mut self, choice: usize) -> Result<(), Violation> {
        let Some((append, before)) = self.history.get(choice % self.history.len().max(1)) else {
            return Ok(());
        };
        let again = until_known(&*self.store, append).await?;
        let held = again.filter(|again| again.was_repeated && again.position == before.position);
        let id = append.events().next().expect("an event").id;
        let acknowledged = held.ok_or_else(|| Violation::Misled {
            id,
            told: "a repetition is something new".to_owned(),
            held: format!("it stands at {}", before.position),
        })?;
        let ids = append.events().map(|event| event.id).collect();
        self.attempts.push(Attempt { ids, decision: None, acknowledged: Some(acknowledged) });
        Ok(())
    }
}

/// Appends until the store says what became of it; `None` if somebody else was first.
async fn until_known(
    store: &dyn EventStore,
    append: &Append,
) -> Result<Option<Appended>, Violation> {
    loop {
        match store.append(append.clone()).await {
            Ok(appended) => return Ok(Some(appended)),
            Err(AppendError::VersionConflict { .. }) => return Ok(None),
            Err(error) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let reason = format!("{error}: {source:?}");
                return Err(Violation::Failed { action: "appending", reason });
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_late_while_many_writers_fill_hundreds_of_partitions() {
    let plan = Plan { events_per_partition: 12, writers: 16, rounds: 90 };
    let report = race(plan, "").await.expect("the oracle holds");
    println!("{report:?}");
    assert!(report.partitions > 100, "{report:?}");
    assert!(report.repeated > 100, "{report:?}");
}

/// Cuts off whoever is adding a partition, at whatever step.
async fn cut_off_roll_overs(client: Client, is_over: watch::Receiver<bool>) -> i64 {
    let sql = "SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l
        JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
        WHERE l.locktype = 'advisory' AND l.classid::bigint >> 16 = 24005 AND l.granted";
    let mut cut = 0;
    while !*is_over.borrow() {
        let found = super::number(&client, sql).await;
        cut += found;
        if found > 0 {
            // A pace, so that some get through: not a synchronisation.
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
    }
    cut
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_over_that_is_cut_off_anywhere_leaves_a_log_that_goes_on() {
    let (database, store) = log_in_partitions_of(12).await;
    let (over, is_over) = watch::channel(false);
    let cutter = tokio::spawn(cut_off_roll_overs(session(&database).await, is_over));
    let plan = Plan { events_per_partition: 12, writers: 8, rounds: 40 };
    let attempts = write(&database, plan).await;
    over.send_replace(true);
    let cut = cutter.await.expect("no panic");
    let attempts = attempts.expect("every append ended well");
    let log = everything(&*store, &Selection::All).await;
    check_versions(&log).expect("versions without gaps");
    check_attempts(&log, &attempts).expect("what was acknowledged is there once");
    println!("{cut} cut off, {} events", log.len());
    assert!(cut > 2, "only {cut} were cut off");
}
