//! Pages without events, held back so that a quiet projection on a busy log costs few transactions.
//!
//! It owns when such a page's checkpoint is due. Left out: storing it, which is the runner's.
//!
//! # Why holding one back loses nothing
//! A page without events has no effect but on the checkpoint. Whoever dies with one in hand leaves
//! the checkpoint where the last effect was stored with it; the next one reads the same stretch of
//! the log again and finds nothing again.

use std::time::Duration;

use highwater_core::{GlobalPosition, Page};
use tokio::time::Instant;

/// How long a checkpoint stays behind pages without events.
const LONGEST_HOLD: Duration = Duration::from_millis(250);
/// How far a checkpoint stays behind pages without events.
const MOST_POSITIONS: u64 = 1_000;

/// What was read and is not yet stored: pages without events, fallen into one, or one with events.
pub(crate) struct HeldPage {
    page: Option<Page>,
    since: Instant,
    longest: Duration,
}

impl HeldPage {
    /// Holds nothing yet, and nothing for longer than `longest` (250 ms at most).
    pub(crate) fn for_at_most(longest: Duration) -> Self {
        Self { page: None, since: Instant::now(), longest: longest.min(LONGEST_HOLD) }
    }

    /// Takes in what was read behind what is held.
    pub(crate) fn add(&mut self, page: Page) {
        if self.page.is_none() {
            self.since = Instant::now();
        }
        // What is held has no events, or it would be stored: only where it ends counts.
        self.page = Some(page);
    }

    /// Where the pages without events end, if any are held.
    pub(crate) fn empty_to(&self) -> Option<GlobalPosition> {
        self.page.as_ref().filter(|page| page.events.is_empty()).map(|page| page.read_to)
    }

    /// What must be stored now, given that the checkpoint stands at `stored`.
    pub(crate) fn take_if_due(&mut self, stored: GlobalPosition) -> Option<Page> {
        self.page.take_if(|page| {
            !page.events.is_empty()
                || self.since.elapsed() >= self.longest
                || page.read_to.get() - stored.get() >= MOST_POSITIONS
        })
    }

    /// What is held, due or not.
    pub(crate) fn take(&mut self) -> Option<Page> {
        self.page.take()
    }

    /// Waits until what is held is due; for ever if nothing is.
    pub(crate) async fn is_due(&self) {
        match self.page {
            Some(_) => tokio::time::sleep_until(self.since + self.longest).await,
            None => std::future::pending().await,
        }
    }
}
