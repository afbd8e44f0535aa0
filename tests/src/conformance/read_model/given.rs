//! What the chapters start from: a projection whose every repetition shows, a log, and an oracle.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use highwater::projections::{
    Project, ProjectError, Projection, ProjectionRunner, ReadModel, ReadModelError, RedisBatch,
    Standing,
};
use highwater::{
    Append, Claim, Component, ComponentContext, ComponentError, Decoded, Event, EventStore,
    ExpectedVersion, GlobalPosition, MemoryStore, NewEvent, Page, Progress, RecordedEvent,
    Selection, StreamId,
};
use sqlx::{PgConnection, SqliteConnection};

use super::{ReadModelFactory, Shown};

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

/// What [`Tally`] counts.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum TallyEvent {
    /// Counts.
    #[event(name = "tally.counted")]
    Counted {
        /// What is counted.
        key: String,
        /// How much.
        by: i64,
    },
    /// Writes, then fails.
    #[event(name = "tally.broken")]
    Broken,
}

/// Adds up, and keeps a journal: neither can hide that an event came twice, not at all, or late.
pub struct Tally;

impl Projection for Tally {
    type Event = TallyEvent;
    const NAME: &'static str = "tally";
}

const BROKEN: &str = "this event is broken on purpose";

#[async_trait]
impl Project<PgConnection> for Tally {
    async fn prepare(&self, connection: &mut PgConnection) -> Result<(), ProjectError> {
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS journal (
                 entry bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, position bigint NOT NULL);
             CREATE TABLE IF NOT EXISTS tally (key text PRIMARY KEY, count bigint NOT NULL)",
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn project(
        &self,
        event: &TallyEvent,
        recorded: &RecordedEvent,
        connection: &mut PgConnection,
    ) -> Result<(), ProjectError> {
        sqlx::query("INSERT INTO journal (position) VALUES ($1)")
            .bind(recorded.position.get().cast_signed())
            .execute(&mut *connection)
            .await?;
        let TallyEvent::Counted { key, by } = event else {
            return Err(ProjectError::failed(BROKEN));
        };
        sqlx::query(
            "INSERT INTO tally (key, count) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET count = tally.count + excluded.count",
        )
        .bind(key)
        .bind(by)
        .execute(connection)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl Project<SqliteConnection> for Tally {
    async fn prepare(&self, connection: &mut SqliteConnection) -> Result<(), ProjectError> {
        sqlx::raw_sql(
            "CREATE TABLE IF NOT EXISTS journal (entry INTEGER PRIMARY KEY, position INTEGER);
             CREATE TABLE IF NOT EXISTS tally (key TEXT PRIMARY KEY, count INTEGER NOT NULL)",
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    async fn project(
        &self,
        event: &TallyEvent,
        recorded: &RecordedEvent,
        connection: &mut SqliteConnection,
    ) -> Result<(), ProjectError> {
        sqlx::query("INSERT INTO journal (position) VALUES (?1)")
            .bind(recorded.position.get().cast_signed())
            .execute(&mut *connection)
            .await?;
        let TallyEvent::Counted { key, by } = event else {
            return Err(ProjectError::failed(BROKEN));
        };
        sqlx::query(
            "INSERT INTO tally (key, count) VALUES (?1, ?2)
             ON CONFLICT (key) DO UPDATE SET count = count + excluded.count",
        )
        .bind(key)
        .bind(by)
        .execute(connection)
        .await?;
        Ok(())
    }
}

#[async_trait]
impl Project<RedisBatch> for Tally {
    async fn project(
        &self,
        event: &TallyEvent,
        recorded: &RecordedEvent,
        batch: &mut RedisBatch,
    ) -> Result<(), ProjectError> {
        batch.rpush("journal", recorded.position.get());
        let TallyEvent::Counted { key, by } = event else {
            return Err(ProjectError::failed(BROKEN));
        };
        batch.hincrby("tally", key, *by);
        Ok(())
    }
}

/// Appends one event for each number: `by` for key `k(by % 3)`.
pub async fn count(log: &MemoryStore, amounts: impl IntoIterator<Item = i64>) {
    for by in amounts {
        let event = TallyEvent::Counted { key: format!("k{}", by % 3), by };
        append(log, NewEvent::from_event(&event).unwrap()).await;
    }
}

/// Appends one event.
pub async fn append(log: &MemoryStore, event: NewEvent) {
    let stream = StreamId::new("tally", "1").unwrap();
    log.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await.unwrap();
}

/// Appends an event that the projection didn't ask for.
pub async fn ignored(log: &MemoryStore) {
    append(log, NewEvent::new("tally.ignored", &1).unwrap()).await;
}

/// A log in which `events` events were counted.
pub async fn log_of(events: i64) -> Arc<MemoryStore> {
    let log = Arc::new(MemoryStore::new());
    count(&log, 1..=events).await;
    log
}

/// The oracle: a fold of the log.
pub async fn fold(log: &MemoryStore) -> Shown {
    let page = log.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.unwrap();
    let mut shown = Shown::default();
    for recorded in page.events {
        let read = recorded.decode().ok().and_then(Decoded::into_one);
        if let Some(TallyEvent::Counted { key, by }) = read {
            shown.journal.push(recorded.position.get());
            *shown.counts.entry(key).or_default() += by;
        }
    }
    shown
}

/// Where the log ends.
pub async fn head(log: &MemoryStore) -> GlobalPosition {
    log.high_water_mark().await.unwrap()
}

/// The page of up to `limit` events that a runner with this claim would read next.
pub async fn next_page(
    log: &MemoryStore,
    read_model: &dyn ReadModel,
    claim: &Claim,
    limit: usize,
) -> Page {
    log.read_all(&read_model.selection(), claim.position, limit).await.unwrap()
}

/// Applies page after page up to the log's end.
pub async fn apply_all(log: &MemoryStore, read_model: &dyn ReadModel, mut claim: Claim) {
    while claim.position < head(log).await {
        let page = next_page(log, read_model, &claim, 2).await;
        read_model.apply(&claim, &page).await.unwrap();
        claim.position = page.read_to;
    }
}

/// Asserts that the read model shows what a fold of the log gives.
pub async fn assert_is_fold(factory: &dyn ReadModelFactory, log: &MemoryStore) {
    assert_eq!(factory.shown().await, fold(log).await, "the read model isn't the fold of the log");
}

/// What a component of this test runs in.
pub fn context(log: &Arc<MemoryStore>) -> ComponentContext {
    let context = ComponentContext::new(log.clone(), Default::default());
    context.progress.expect("tally");
    context
}

/// A runner that takes small pages and is quick to take over.
pub fn runner(read_model: &Arc<dyn ReadModel>) -> ProjectionRunner {
    ProjectionRunner::new(Handle::of(read_model))
        .with_page_size(3)
        .with_takeover_after(Duration::from_millis(40))
}

/// Runs until everything that the log holds now was reported, then shuts down.
///
/// # Errors
/// What the runner returns if it stops before.
pub async fn run_to_head(
    runner: &ProjectionRunner,
    log: &Arc<MemoryStore>,
) -> Result<(), ComponentError> {
    let context = context(log);
    let (progress, head) = (context.progress.clone(), head(log).await);
    let shutdown = context.shutdown.clone();
    let mut run = pin!(runner.run(context));
    tokio::select! {
        stopped = &mut run => return stopped,
        () = reached(&progress, head) => shutdown.cancel(),
    }
    run.await
}

/// Waits until `position` was reported.
pub async fn reached(progress: &Progress, position: GlobalPosition) {
    progress.caught_up("tally", position, LONG).await.unwrap();
}

/// Polls `work` so many times, then drops it where it is. `None` if it was dropped.
pub async fn dropped_after<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|task| {
        left -= 1;
        match work.as_mut().poll(task) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A handle that can be given to a runner, and that may lie about what it did.
pub struct Handle {
    read_model: Arc<dyn ReadModel>,
    lost_replies: AtomicUsize,
    refused_pages: AtomicUsize,
}

impl Handle {
    /// A handle that tells the truth.
    pub fn of(read_model: &Arc<dyn ReadModel>) -> Self {
        Self {
            read_model: read_model.clone(),
            lost_replies: AtomicUsize::new(0),
            refused_pages: AtomicUsize::new(0),
        }
    }

    /// The first so many pages are applied, and reported as an error.
    pub fn losing_replies(self, replies: usize) -> Self {
        self.lost_replies.store(replies, Ordering::SeqCst);
        self
    }

    /// The first so many pages never reach the database.
    pub fn refusing_pages(self, pages: usize) -> Self {
        self.refused_pages.store(pages, Ordering::SeqCst);
        self
    }
}

fn takes_one(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl ReadModel for Handle {
    fn name(&self) -> &str {
        self.read_model.name()
    }

    fn selection(&self) -> Selection {
        self.read_model.selection()
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        self.read_model.claim().await
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        if takes_one(&self.refused_pages) {
            return Err(ReadModelError::unavailable("tally", "the connection was cut before"));
        }
        self.read_model.apply(claim, page).await?;
        if takes_one(&self.lost_replies) {
            return Err(ReadModelError::unavailable("tally", "the connection was cut after"));
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        self.read_model.standing().await
    }
}
