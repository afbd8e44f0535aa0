//! The race of the first promise: many append in every way there is while readers follow the log.
//!
//! It returns what it found instead of panicking: a real store must pass, and a store that draws
//! its positions before it commits, without a guard for its readers, must not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::try_join_all;
use highwater::{
    Append, AppendCondition, AppendError, EventStore, ExpectedVersion, GlobalPosition, NewEvent,
    Query, Selection, StreamVersion, Subscription,
};
use tokio::task::JoinHandle;

use super::LogFactory;
use super::atomicity::abandon_after;
use super::given::{category, everything, query_tagged, stream, tagged, to_any};
use super::oracle::{
    Attempt, Decision, Tail, Violation, check_attempts, check_conditions, check_versions,
};

/// How much of a race is run.
#[derive(Clone, Copy, Debug)]
pub struct RacePlan {
    /// How many callers append at the same moment; every sixth does it in the same way.
    pub appenders: usize,
    /// How many appends each of them makes.
    pub appends_each: usize,
}

/// What a race did, so that a test can tell that it was one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaceReport {
    /// Events in the log at the end.
    pub events: usize,
    /// Appends that were acknowledged.
    pub acknowledged: usize,
    /// Appends that ended in a conflict.
    pub conflicts: usize,
    /// Conditional appends that were acknowledged.
    pub conditional: usize,
}

/// Runs the race over several handles of `log` and checks everything there is to check.
///
/// # Errors
/// The first [`Violation`] found; what readers missed comes first.
pub async fn race(log: &dyn LogFactory, plan: RacePlan) -> Result<RaceReport, Violation> {
    let handles = [log.open().await, log.open().await];
    let reader = log.open().await;
    let finish = Finish::default();
    let all = || Selection::All;
    let query = Selection::Query(query_tagged(&["raced:1"]));
    let of_category = Selection::Category(category("test"));
    let followers = [
        (&reader, Tail::new("of all by 7", all()), 7),
        (&handles[0], Tail::new("of all by 1000", all()), 1_000),
        (&handles[1], Tail::new("of a query", query), 20),
        (&reader, Tail::new("of a category", of_category), 100),
    ];
    let mut readers: Vec<_> = followers
        .into_iter()
        .map(|(store, tail, limit)| {
            tokio::spawn(follow(store.clone(), tail, limit, finish.clone()))
        })
        .collect();
    readers.push(tokio::spawn(subscribe(reader.clone(), finish.clone())));
    let conflicts = Arc::new(AtomicUsize::new(0));
    let appenders = (0..plan.appenders).map(|index| {
        let appender = Appender {
            store: handles[index / 6 % 2].clone(),
            index,
            conflicts: conflicts.clone(),
            attempts: Vec::new(),
        };
        tokio::spawn(appender.run(plan.appends_each))
    });
    let outcome = try_join_all(appenders.collect::<Vec<_>>().into_iter().map(joined)).await;
    finish.at(&*reader).await;
    let mut tails = Vec::new();
    for reading in readers {
        tails.push(joined(reading).await?);
    }
    let attempts = outcome?.concat();
    let log = everything(&*reader, &Selection::All).await;
    for tail in &tails {
        tail.check(&log)?;
    }
    check_versions(&log)?;
    check_attempts(&log, &attempts)?;
    check_conditions(&log, &attempts)?;
    Ok(report(log.len(), &attempts, conflicts.load(Ordering::SeqCst)))
}

fn report(events: usize, attempts: &[Attempt], conflicts: usize) -> RaceReport {
    let acknowledged = || attempts.iter().filter(|attempt| attempt.acknowledged.is_some());
    RaceReport {
        events,
        acknowledged: acknowledged().count(),
        conflicts,
        conditional: acknowledged().filter(|attempt| attempt.decision.is_some()).count(),
    }
}

async fn joined<T>(part: JoinHandle<Result<T, Violation>>) -> Result<T, Violation> {
    part.await.expect("no part of a race panics")
}

/// Where readers may stop: known once all appenders have finished.
#[derive(Clone, Default)]
struct Finish(Arc<std::sync::OnceLock<GlobalPosition>>);

impl Finish {
    async fn at(&self, store: &dyn EventStore) {
        let head = store.high_water_mark().await.unwrap_or(GlobalPosition::START);
        self.0.get_or_init(|| head);
    }

    fn is_reached(&self, read_to: GlobalPosition) -> bool {
        self.0.get().is_some_and(|finish| read_to >= *finish)
    }

    /// Returns once the race is over and everything has been read.
    async fn reached(&self, read_to: GlobalPosition) {
        while !self.is_reached(read_to) {
            tokio::time::sleep(LOOK_UP).await;
        }
    }
}

/// Reads along by pages, as often as it can.
async fn follow(
    store: Arc<dyn EventStore>,
    mut tail: Tail,
    limit: usize,
    finish: Finish,
) -> Result<Tail, Violation> {
    while !finish.is_reached(tail.read_to) {
        let page = store.read_all(&tail.selection, tail.read_to, limit).await;
        tail.take(&page.map_err(|error| failed("reading", &error))?)?;
        tokio::task::yield_now().await;
    }
    Ok(tail)
}

/// Reads along as users do.
async fn subscribe(store: Arc<dyn EventStore>, finish: Finish) -> Result<Tail, Violation> {
    let mut tail = Tail::new("by subscription", Selection::All);
    let mut subscription = Subscription::new(store, Selection::All, GlobalPosition::START);
    loop {
        // At the end of the log it waits for more; the finish may have been named meanwhile.
        let page = tokio::select! {
            page = subscription.next_page() => page,
            () = finish.reached(tail.read_to) => return Ok(tail),
        };
        tail.take(&page.map_err(|error| failed("reading", &error))?)?;
    }
}

/// How often a subscription at the end of the log looks up to see whether the race is over.
const LOOK_UP: std::time::Duration = std::time::Duration::from_millis(50);

/// How often a decision that was overtaken is made again.
const DECISIONS: usize = 20;

/// One caller that appends, in the way that its index tells.
struct Appender {
    store: Arc<dyn EventStore>,
    index: usize,
    conflicts: Arc<AtomicUsize>,
    attempts: Vec<Attempt>,
}

impl Appender {
    async fn run(mut self, appends: usize) -> Result<Vec<Attempt>, Violation> {
        for turn in 0..appends {
            match self.index % 6 {
                0 => self.append(to_any(&self.own_stream(), some(1))).await?,
                1 => self.append(self.slow()).await?,
                2 => self.contend().await?,
                3 => self.abandon(turn).await,
                4 => self.decide().await?,
                _ => self.append(to_any(&stream("shared"), some(1 + turn % 3))).await?,
            }
        }
        Ok(self.attempts)
    }

    fn own_stream(&self) -> highwater::StreamId {
        stream(&format!("own {}", self.index))
    }

    /// Many events to several streams: it draws its positions long before it commits.
    fn slow(&self) -> Append {
        let shared = stream(&format!("shared {}", self.index % 4));
        to_any(&self.own_stream(), some(60)).and_to(shared, ExpectedVersion::Any, some(2))
    }

    /// Several read the version of one stream and expect it: most of them must abort.
    async fn contend(&mut self) -> Result<(), Violation> {
        let contended = stream("contended");
        let read = self.store.read_stream(&contended, StreamVersion::EMPTY, usize::MAX).await;
        let read = read.map_err(|error| failed("reading a stream", &error))?;
        let version = read.last().map_or(StreamVersion::EMPTY, |event| event.version);
        think().await;
        self.append(Append::to(contended, ExpectedVersion::Exact(version), some(2))).await
    }

    /// Starts an append and walks away.
    async fn abandon(&mut self, turn: usize) {
        let append = to_any(&self.own_stream(), some(3));
        let ids = append.events().map(|event| event.id).collect();
        abandon_after(turn % 5, self.store.append(append)).await;
        self.attempts.push(Attempt { ids, decision: None, acknowledged: None });
    }

    /// Decides on what it has read of the log, and appends only if nothing was added to that; if
    /// something was, it decides again, a few times. What it asks about need not be what it adds to.
    async fn decide(&mut self) -> Result<(), Violation> {
        for _ in 0..DECISIONS {
            let hot = |number: usize| ["hot:1", "hot:2", "hot:3"][number % 3];
            let (asked, added) = (hot(self.attempts.len()), hot(self.attempts.len() / 3));
            let decision = self.decision_on(query_tagged(&[asked])).await?;
            let append = to_any(&self.own_stream(), vec![tagged("decided", &[added])])
                .with_condition(decision.condition.clone());
            let made = self.attempts.len();
            self.append_decided(append, Some(decision)).await?;
            if self.attempts.len() > made {
                break;
            }
        }
        Ok(())
    }

    async fn decision_on(&self, query: Query) -> Result<Decision, Violation> {
        let selection = Selection::Query(query.clone());
        let mut tail = Tail::new("that decides", selection);
        loop {
            let page = self.store.read_all(&tail.selection, tail.read_to, 1_000).await;
            let page = page.map_err(|error| failed("reading", &error))?;
            tail.take(&page)?;
            if page.is_last {
                break;
            }
        }
        think().await;
        let condition = AppendCondition::new(query, tail.read_to);
        Ok(Decision { condition, seen: tail.seen })
    }

    async fn append(&mut self, append: Append) -> Result<(), Violation> {
        self.append_decided(append, None).await
    }

    async fn append_decided(
        &mut self,
        append: Append,
        decision: Option<Decision>,
    ) -> Result<(), Violation> {
        let ids = append.events().map(|event| event.id).collect();
        match self.store.append(append).await {
            Ok(appended) => {
                self.attempts.push(Attempt { ids, decision, acknowledged: Some(appended) });
                Ok(())
            }
            Err(AppendError::VersionConflict { .. } | AppendError::ConditionFailed) => {
                self.conflicts.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Err(error) => Err(failed("appending", &error)),
        }
    }
}

/// Lets others go ahead between what was read and what comes of it.
async fn think() {
    for _ in 0..5 {
        tokio::task::yield_now().await;
    }
}

/// Events of which every third carries a tag that a reader follows.
fn some(count: usize) -> Vec<NewEvent> {
    let tags = |index: usize| if index.is_multiple_of(3) { &["raced:1"][..] } else { &[] };
    (0..count).map(|index| tagged("raced", tags(index))).collect()
}

fn failed(action: &'static str, error: &dyn std::error::Error) -> Violation {
    let mut reason = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        reason = format!("{reason}: {cause}");
        source = cause.source();
    }
    Violation::Failed { action, reason }
}
