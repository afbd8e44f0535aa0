//! A consumer's place in the log: claimed, moved forward, given up when somebody else claims it.
//!
//! The relay and the in-process consumer differ in what they do with a page; how they hold their
//! place is the same and stands here. What a page means is left to [`Work`].
//!
//! # Two holders at once
//! Nothing stops a second process from claiming a place, and a first one that was frozen from
//! waking up later. The order of a key survives that, and a lease isn't part of the argument:
//!
//! 1. A *tenure* is what one claim does until it is fenced. It starts at the checkpoint that the
//!    claim returned and takes the log's events in order, none left out.
//! 2. A checkpoint moves to p only after everything at or before p was taken with success, by
//!    whatever tenure. So a tenure starts behind events that were all taken before.
//! 3. From 1 and 2: whenever a tenure takes an event, every earlier event of the log was taken
//!    before, by it or by another. That holds for every tenure by itself, so it holds for any
//!    interleaving of several.
//! 4. Therefore the *first* time that each event is taken follows the order of the log, and every
//!    other time is a repetition with the same id. Whoever leaves repetitions out, as the contract
//!    of handlers demands, sees the log's order: a zombie's late `7` behind another's `15` is a
//!    repetition, never news.
//! 5. The epoch bounds the repetitions: `advance` with an old epoch changes nothing and says so,
//!    so a zombie takes at most the page that it had in hand. It can't move a checkpoint either
//!    way, which 2 needs.
//!
//! What 1 asks of a publisher: a call that fails may have delivered, of each key, a beginning of
//! what it was given, and never something behind a gap.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::{
    CheckpointError, Claim, ComponentContext, ComponentError, GlobalPosition, Page, ReadError,
    Selection, Subscription,
};

/// How long work that is under way may take to end after shutdown was asked for.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// What a consumer does with what it reads.
#[async_trait]
pub(super) trait Work: Send + Sync {
    /// Takes the events of a page in order.
    async fn take(&self, page: &Page, shutdown: &CancellationToken) -> Taken;
}

/// How far a page was taken.
pub(super) enum Taken {
    /// All of it.
    Whole,
    /// Everything up to this position (`None`: nothing), then shutdown came.
    Interrupted(Option<GlobalPosition>),
    /// Everything up to this position (`None`: nothing), then it could not go on.
    Failed(Option<GlobalPosition>, ComponentError),
}

/// Why a tenure ended without an error.
enum Ended {
    Shutdown,
    Fenced,
}

/// A named place in the log, which one at a time holds.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) page_size: usize,
    /// How long a holder that was fenced leaves the place to the other one.
    pub(super) standby: Duration,
}

impl Place {
    pub(super) fn new(name: String) -> Self {
        Self { name, page_size: 500, standby: Duration::from_secs(10) }
    }

    /// Holds the place until shutdown. Fenced, it stops at once, leaves the place to the other one
    /// for `standby`, and claims it again: if the other one has died meanwhile, that is the
    /// hand-over, and if it lives, invariants 1 to 5 make the change harmless.
    pub(super) async fn hold(
        &self,
        context: &ComponentContext,
        work: &dyn Work,
    ) -> Result<(), ComponentError> {
        loop {
            match self.tenure(context, work).await? {
                Ended::Shutdown => return Ok(()),
                Ended::Fenced => tracing::info!(
                    component = self.name,
                    standby_ms = self.standby.as_millis(),
                    "another process took over; standing by"
                ),
            }
            if !rest(self.standby, &context.shutdown).await {
                return Ok(());
            }
        }
    }

    async fn tenure(
        &self,
        context: &ComponentContext,
        work: &dyn Work,
    ) -> Result<Ended, ComponentError> {
        let claim = context.store.claim(&self.name).await.map_err(|e| self.claiming(e))?;
        context.progress.report(&self.name, claim.position);
        let mut pages =
            Subscription::new(Arc::clone(&context.store), Selection::All, claim.position)
                .with_page_size(self.page_size);
        loop {
            let page = tokio::select! {
                biased;
                () = context.shutdown.cancelled() => return Ok(Ended::Shutdown),
                page = pages.next_page() => page.map_err(|error| self.reading(error))?,
            };
            let (reached, stop) = match work.take(&page, &context.shutdown).await {
                Taken::Whole => (Some(page.read_to), None),
                Taken::Interrupted(reached) => (reached, Some(Ok(Ended::Shutdown))),
                Taken::Failed(reached, error) => (reached, Some(Err(error))),
            };
            let moved = match reached {
                Some(position) => self.advance(context, &claim, position).await,
                None => Ok(true),
            };
            match (stop, moved) {
                // What stopped the work says more than what befell the checkpoint afterwards.
                (Some(stop), _) => return stop,
                (None, Ok(true)) => {}
                (None, Ok(false)) => return Ok(Ended::Fenced),
                (None, Err(error)) => return Err(error),
            }
        }
    }

    /// Moves the checkpoint; false if somebody else holds the place now.
    async fn advance(
        &self,
        context: &ComponentContext,
        claim: &Claim,
        position: GlobalPosition,
    ) -> Result<bool, ComponentError> {
        match context.store.advance(claim, position, None).await {
            Ok(()) => {
                context.progress.report(&self.name, position);
                Ok(true)
            }
            Err(CheckpointError::Fenced { .. }) => Ok(false),
            Err(error) => Err(self.trouble(
                format!("moving the checkpoint of {} to {position}", self.name),
                error.is_retryable(),
                error,
            )),
        }
    }

    fn claiming(&self, error: CheckpointError) -> ComponentError {
        let doing = format!("claiming the checkpoint of {}", self.name);
        self.trouble(doing, error.is_retryable(), error)
    }

    fn reading(&self, error: ReadError) -> ComponentError {
        let doing = format!("reading the log for {}", self.name);
        self.trouble(doing, error.is_retryable(), error)
    }

    fn trouble(
        &self,
        doing: String,
        is_retryable: bool,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> ComponentError {
        if is_retryable {
            ComponentError::retry(doing, error)
        } else {
            ComponentError::fatal(doing, error)
        }
    }
}

/// Rests; false if shutdown came first.
pub(super) async fn rest(pause: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}

/// Runs `work` to its end, or until shutdown is [`GRACE`] old: `None`.
pub(super) async fn unless_overdue<T>(
    work: impl Future<Output = T>,
    shutdown: &CancellationToken,
) -> Option<T> {
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = overdue => None,
    }
}

/// The pauses between tries before the supervisor hears of the trouble: some five seconds in all,
/// so that a short outage costs no restart.
pub(super) fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_max_times(9)
        .with_jitter()
        .build()
}
