//! The loop that keeps one read model up to date.
//!
//! # Who does what when
//! 1. A runner that starts claims the read model and leads: it alone may apply pages, because every
//!    page checks the claim's epoch (see `read_model`).
//! 2. A leader that is fenced stands by: it applies nothing, follows the other's checkpoint so that
//!    `caught_up` works here too, and claims only when that checkpoint stands still while the log
//!    moves on (see core's `Standby`).
//! 3. A read model that is ahead of its log gets no page: the positions up to where it stands will be
//!    other events' than those that it shows. That is seen at a claim, and only until the log has come
//!    as far again.
//! 4. A position is reported only after every effect at or before it is durable. Where pages held no
//!    event of this read model there is none: such a position is reported at once, and the
//!    checkpoint follows within 250 ms or 1,000 positions, or at shutdown (see `held_page`).

mod replay;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{
    Claim, Component, ComponentContext, ComponentError, GlobalPosition, Page, ReadError, Standby,
    Subscription,
};

pub use self::replay::ReplayError;
use crate::held_page::HeldPage;
use crate::{ReadModel, ReadModelError};

/// How many events are applied in one transaction unless told otherwise.
const PAGE_SIZE: usize = 500;
/// How long a page in flight may take to end after shutdown began.
const GRACE: Duration = Duration::from_secs(5);

/// Keeps one read model up to date: first with what is in the log, then with what comes.
///
/// Each event has its effect exactly once, and in order of position, whatever dies when: a page's
/// effects and the checkpoint are one atomic write. An event that can't be projected is never
/// skipped: the runner stops in front of it, and what it returns names stream, position and type.
/// A read model that is ahead of its log, which was restored to an earlier point, stops it as well
/// ([`ReadModelError::AheadOfLog`]), as long as the log hasn't come as far again.
///
/// Host it with [`HighwaterBuilder::host`](highwater_core::HighwaterBuilder::host). Several
/// processes may host the same one: the one that started last leads, the others stand by.
pub struct ProjectionRunner {
    read_model: Box<dyn ReadModel>,
    page_size: usize,
    standby: Standby,
}

impl ProjectionRunner {
    /// Keeps `read_model` up to date.
    #[must_use]
    pub fn new(read_model: impl ReadModel) -> Self {
        Self { read_model: Box::new(read_model), page_size: PAGE_SIZE, standby: Standby::new() }
    }

    /// Applies at most this many events in one transaction (500 unless told; at least 1).
    #[must_use]
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.page_size = events.max(1);
        self
    }

    /// Takes over from a leader that stands still behind the log for this long (5 s unless told).
    ///
    /// It should be the same in every process, and longer than a page takes. Too short costs needless
    /// changes of leader, never a wrong read model.
    #[must_use]
    pub fn with_takeover_after(mut self, still: Duration) -> Self {
        self.standby = Standby::new().with_takeover_after(still);
        self
    }

    /// Applies page after page until shutdown, or until something stops it.
    async fn lead(&self, context: &ComponentContext) -> Result<(), Stopped> {
        let shutdown = &context.shutdown;
        let Some(claim) = shutdown.run_until_cancelled(self.read_model.claim()).await else {
            return Ok(());
        };
        let mut claim = claim?;
        self.standby.claimed(claim.epoch);
        not_ahead(&claim, context.store.high_water_mark().await?)?;
        context.progress.report(self.name(), claim.position);
        let mut log =
            Subscription::new(context.store.clone(), self.read_model.selection(), claim.position)
                .with_page_size(self.page_size);
        // Nobody may take this leader for dead because it stores nothing for a while.
        let mut held = HeldPage::for_at_most(self.standby.beat());
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                page = log.next_page() => held.add(page?),
                () = held.is_due() => {}
            }
            if let Some(reached) = held.empty_to() {
                context.progress.report(self.name(), reached);
            }
            if let Some(page) = held.take_if_due(claim.position)
                && !self.apply(context, &mut claim, page).await?
            {
                return Ok(());
            }
        }
        if let Some(page) = held.take() {
            self.apply(context, &mut claim, page).await?;
        }
        Ok(())
    }

    /// Applies one page and reports it; false if that was given up at shutdown: then the page is in
    /// or it isn't, and the next claim tells.
    async fn apply(
        &self,
        context: &ComponentContext,
        claim: &mut Claim,
        page: Page,
    ) -> Result<bool, Stopped> {
        let Some(applied) = in_time(context, self.read_model.apply(claim, &page)).await else {
            return Ok(false);
        };
        applied?;
        claim.position = page.read_to;
        context.progress.report(self.name(), page.read_to);
        Ok(true)
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
        let look = || async { self.read_model.standing().await.map_err(Stopped::from) };
        loop {
            let turn = self.standby.turn(&context, self.name(), look).await;
            if !turn.map_err(|stopped| self.stopped_by(stopped))? {
                return Ok(());
            }
            match self.lead(&context).await {
                // Also where the claim itself was: then no epoch was noted before.
                Err(Stopped::ReadModel(ReadModelError::Fenced { epoch, .. })) => {
                    self.standby.claimed(epoch);
                }
                led => return led.map_err(|stopped| self.stopped_by(stopped)),
            }
        }
    }
}

/// Refuses to go on from where the log has never been.
fn not_ahead(claim: &Claim, mark: GlobalPosition) -> Result<(), ReadModelError> {
    if claim.position <= mark {
        return Ok(());
    }
    let (name, position) = (claim.consumer.clone(), claim.position);
    Err(ReadModelError::AheadOfLog { name, position, mark })
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

#[cfg(test)]
mod tests;
