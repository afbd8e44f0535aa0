//! A consumer's place in the log: claimed, moved forward, given up when somebody else claims it.
//!
//! The relay and the in-process consumer differ in what they do with a page; how they hold their
//! place is the same and stands here. What a page means is left to [`Work`].
//!
//! # Two holders at once
//! Processes with the same consumer settle on one that works (see [`Standby`]): it holds the place,
//! and while a page takes long it says every now and then that it lives. But nothing stops another
//! one from claiming the place, and a first one that was frozen from waking up later. The order of
//! a key survives that, and neither a lease nor a clock is part of the argument:
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
//!    so a zombie takes at most the page that it had in hand, and drops even that at its next sign
//!    of life. It can't move a checkpoint either way, which 2 needs.
//!
//! What 1 asks of a publisher: a call that fails may have delivered, of each key, a beginning of
//! what it was given, and never something behind a gap.
//!
//! # One tenant's part of a log
//! Messages of two tenants may meet, in a topic or in an inbox, though their logs never do. So what
//! is read behind a tenant's wall is named as the whole log names it, before anybody looks at it:
//! keys and message ids of two tenants differ, whichever side of the wall they were sent from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::tenant::Terms;
use crate::{
    CheckpointError, Claim, ComponentContext, ComponentError, GlobalPosition, Page, ReadError,
    Selection, Standby, Subscription,
};

/// How long work that is under way may take to end after shutdown was asked for.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// What a consumer does with what it reads.
#[async_trait]
pub(super) trait Work: Send + Sync {
    /// Takes the events of a page in order. Dropped when the place is lost meanwhile: what it has
    /// begun must be fit to be begun again.
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

/// Why it could not be seen whose turn it is.
enum NoLook {
    Checkpoint(CheckpointError),
    Log(ReadError),
}

impl From<ReadError> for NoLook {
    fn from(error: ReadError) -> Self {
        Self::Log(error)
    }
}

/// A named place in the log, which one at a time holds.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) page_size: usize,
    pub(super) standby: Standby,
}

impl Place {
    pub(super) fn new(name: String) -> Self {
        Self { name, page_size: 500, standby: Standby::new() }
    }

    /// Holds the place until shutdown, or stands by while somebody else holds it.
    pub(super) async fn hold(
        &self,
        context: &ComponentContext,
        work: &dyn Work,
    ) -> Result<(), ComponentError> {
        while self.turn(context).await? {
            match self.tenure(context, work).await? {
                Ended::Shutdown => return Ok(()),
                Ended::Fenced => {}
            }
        }
        Ok(())
    }

    /// Waits for this process's turn; false if shutdown came first.
    async fn turn(&self, context: &ComponentContext) -> Result<bool, ComponentError> {
        let look = || async {
            let standing = context.store.standing(&self.name).await;
            standing.map(Option::unwrap_or_default).map_err(NoLook::Checkpoint)
        };
        self.standby.turn(context, &self.name, look).await.map_err(|no_look| match no_look {
            NoLook::Checkpoint(error) => self.claiming(error),
            NoLook::Log(error) => self.reading(error),
        })
    }

    async fn tenure(
        &self,
        context: &ComponentContext,
        work: &dyn Work,
    ) -> Result<Ended, ComponentError> {
        let claim = context.store.claim(&self.name).await.map_err(|e| self.claiming(e))?;
        self.standby.claimed(claim.epoch);
        context.progress.report(&self.name, claim.position);
        let wall = context.store.tenant().map(Terms::of);
        let mut pages =
            Subscription::new(Arc::clone(&context.store), Selection::All, claim.position)
                .with_page_size(self.page_size);
        loop {
            let page = tokio::select! {
                biased;
                () = context.shutdown.cancelled() => return Ok(Ended::Shutdown),
                page = pages.next_page() => page.map_err(|error| self.reading(error))?,
            };
            let page = match &wall {
                Some(terms) => page.map(|event| terms.whole_event(event)),
                None => page,
            };
            let taking = work.take(&page, &context.shutdown);
            let taken = tokio::select! {
                biased;
                taken = taking => taken,
                () = self.beat_until_fenced(context, &claim) => return Ok(Ended::Fenced),
            };
            let (reached, stop) = match taken {
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

    /// Says every now and then that this process lives, by advancing to where the claim started;
    /// returns when somebody else holds the place. That the store is away for a while is no reason
    /// to let go of a page: the checkpoint's next move will tell.
    async fn beat_until_fenced(&self, context: &ComponentContext, claim: &Claim) {
        loop {
            tokio::time::sleep(self.standby.beat()).await;
            match context.store.advance(claim, claim.position, None).await {
                Ok(()) => {}
                Err(CheckpointError::Fenced { .. }) => return,
                Err(error) => tracing::debug!(component = self.name, %error, "no sign of life"),
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
        let doing = format!("looking at or claiming the checkpoint of {}", self.name);
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
