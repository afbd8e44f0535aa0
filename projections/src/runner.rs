//! The loop that keeps one read model up to date.
//!
//! # Who does what when
//! 1. A runner that starts claims the read model and leads: it alone may apply pages, because every
//!    page checks the claim's epoch (see `read_model`).
//! 2. A leader that is fenced stands by: it applies nothing, follows the other's checkpoint so that
//!    `caught_up` works here too, and claims only when that checkpoint stands still while the log
//!    moves on. The clock only decides when to try; the epoch decides who may write. So two
//!    processes that host one projection settle on a leader instead of fencing each other for ever.
//! 3. A position is reported only after the page that ends there is durable.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{Component, ComponentContext, ComponentError, Page, ReadError, Subscription};
use tokio::time::Instant;

use crate::{ReadModel, ReadModelError, Standing};

/// How many events are applied in one transaction unless told otherwise.
const PAGE_SIZE: usize = 500;
/// How long a leader may stand still behind the log before another takes over, unless told.
const TAKEOVER_AFTER: Duration = Duration::from_secs(5);
/// How often a runner that stands by looks at the leader's checkpoint, at least.
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// How long a page in flight may take to end after shutdown began.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps one read model up to date: first with what is in the log, then with what comes.
///
/// Each event has its effect exactly once, and in order of position, whatever dies when: a page's
/// effects and the checkpoint are one atomic write. An event that can't be projected is never
/// skipped: the runner stops in front of it, and what it returns names stream, position and type.
///
/// Host it with [`HighwaterBuilder::host`](highwater_core::HighwaterBuilder::host). Several
/// processes may host the same one: the one that started last leads, the others stand by.
pub struct ProjectionRunner {
    read_model: Box<dyn ReadModel>,
    page_size: usize,
    takeover_after: Duration,
}

impl ProjectionRunner {
    /// Keeps `read_model` up to date.
    #[must_use]
    pub fn new(read_model: impl ReadModel) -> Self {
        Self {
            read_model: Box::new(read_model),
            page_size: PAGE_SIZE,
            takeover_after: TAKEOVER_AFTER,
        }
    }

    /// Applies at most this many events in one transaction (500 unless told; at least 1).
    #[must_use]
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.page_size = events.max(1);
        self
    }

    /// Takes over from a leader that stands still behind the log for this long (5 s unless told).
    ///
    /// Too short costs a needless change of leader, never a wrong read model.
    #[must_use]
    pub fn with_takeover_after(mut self, still: Duration) -> Self {
        self.takeover_after = still;
        self
    }

    /// Applies page after page until shutdown, or until something stops it.
    async fn lead(&self, context: &ComponentContext) -> Result<(), Stopped> {
        let shutdown = &context.shutdown;
        let Some(claim) = shutdown.run_until_cancelled(self.read_model.claim()).await else {
            return Ok(());
        };
        let mut claim = claim?;
        context.progress.report(self.name(), claim.position);
        let mut log =
            Subscription::new(context.store.clone(), self.read_model.selection(), claim.position)
                .with_page_size(self.page_size);
        while let Some(page) = shutdown.run_until_cancelled(log.next_page()).await {
            let page: Page = page?;
            let Some(applied) = in_time(context, self.read_model.apply(&claim, &page)).await else {
                // Given up at shutdown: the page is in or it isn't, the next claim tells.
                return Ok(());
            };
            applied?;
            claim.position = page.read_to;
            context.progress.report(self.name(), page.read_to);
        }
        Ok(())
    }

    /// Follows the leader until it stands still behind the log. `None` means shutdown.
    async fn stand_by(&self, context: &ComponentContext) -> Result<Option<()>, Stopped> {
        tracing::info!(projection = self.name(), "another runner leads, standing by");
        let look = LONGEST_LOOK.min(self.takeover_after / 4);
        let waiting = context.shutdown.run_until_cancelled(async {
            let mut last_seen = Standing::default();
            let mut still_since = Instant::now();
            while still_since.elapsed() < self.takeover_after {
                tokio::time::sleep(look).await;
                let standing = self.read_model.standing().await?;
                context.progress.report(self.name(), standing.position);
                let is_behind = standing.position < context.store.high_water_mark().await?;
                if standing != last_seen || !is_behind {
                    (last_seen, still_since) = (standing, Instant::now());
                }
            }
            tracing::warn!(projection = self.name(), "the leader stands still, taking over");
            Ok(())
        });
        waiting.await.transpose()
    }

    fn stopped_by(&self, stopped: Stopped) -> ComponentError {
        let doing = format!("keeping read model {:?} up to date", self.name());
        match stopped {
            Stopped::Log(error) if error.is_retryable() => ComponentError::retry(doing, error),
            Stopped::Log(error) => ComponentError::fatal(doing, error),
            Stopped::ReadModel(error) if error.is_retryable() => {
                ComponentError::retry(doing, error)
            }
            Stopped::ReadModel(error) => ComponentError::fatal(doing, error),
        }
    }
}

#[async_trait]
impl Component for ProjectionRunner {
    fn name(&self) -> &str {
        self.read_model.name()
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        loop {
            let led = match self.lead(&context).await {
                Err(Stopped::ReadModel(ReadModelError::Fenced { .. })) => {
                    self.stand_by(&context).await
                }
                led => led.map(|()| None),
            };
            match led {
                Ok(Some(())) => {}
                Ok(None) => return Ok(()),
                Err(stopped) => return Err(self.stopped_by(stopped)),
            }
        }
    }
}

/// What ended a runner's work.
enum Stopped {
    Log(ReadError),
    ReadModel(ReadModelError),
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

impl From<ReadModelError> for Stopped {
    fn from(error: ReadModelError) -> Self {
        Self::ReadModel(error)
    }
}

/// Lets `work` end, but not longer than [`GRACE`] once shutdown has begun.
async fn in_time<T>(context: &ComponentContext, work: impl Future<Output = T>) -> Option<T> {
    let too_long = async {
        context.shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = too_long => None,
    }
}
