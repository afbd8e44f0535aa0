//! Who of several processes with the same component works: one, while the others stand by.
//!
//! It owns when a process may claim. That only the latest claimant may write is the epoch's work
//! (see [`CheckpointStore`](crate::CheckpointStore)); what is done with a claim is the component's.
//!
//! # How processes settle on a leader
//! 1. A component that starts claims at once, so that a new process works without delay.
//! 2. One that was taken over from claims again only after the leader has stood still, with work left,
//!    for the take-over time. "Still" means that two looks at its [`Standing`] saw the same,
//!    and the time is this process's own between those looks: no clock of another host counts.
//! 3. A leader has work left while it is behind the log, or keeps state beside its position: work that
//!    the log's end doesn't show, such as a saga that waits for a retry or a deadline. One with nothing
//!    to do stands at the log's end and keeps nothing, so nobody misses it. One with long work advances
//!    to where it stands, every [`Standby::beat`]: that changes its standing. Position and state are
//!    stored in one write, so no look finds the end reached and the work not yet told of.
//! 4. That holds over restarts: a component that failed and finds a later claim than its own stands
//!    by. Otherwise a process that can't work would take the work from one that can, each time the
//!    supervisor starts it again.
//! 5. The clock only decides when to try. A leader that was taken over without need is fenced by the
//!    epoch like a dead one; that costs a change of leader, never the order or an event.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ComponentContext;
use crate::{ReadError, Standing};

/// How long a leader may stand still behind the log before another takes over, unless told.
const TAKEOVER_AFTER: Duration = Duration::from_secs(5);
/// How often a process that stands by looks at the leader's checkpoint, at least.
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// How often a leader with long work says that it lives, at least.
const LONGEST_BEAT: Duration = Duration::from_secs(1);
/// Rests are no shorter than this, however short the take-over time.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// One process's part in settling who of several processes works.
///
/// Belongs to a component and lives as long as it, from run to run.
#[derive(Debug)]
pub struct Standby {
    takeover_after: Duration,
    /// The epoch that this process had last, or lost its claim to. `None`: it never claimed.
    last_epoch: Mutex<Option<u64>>,
}

impl Standby {
    /// Takes over from a leader that stands still behind the log for 5 s.
    #[must_use]
    pub fn new() -> Self {
        Self { takeover_after: TAKEOVER_AFTER, last_epoch: Mutex::new(None) }
    }

    /// Takes over after this time instead. It should be the same in every process.
    #[must_use]
    pub fn with_takeover_after(mut self, still: Duration) -> Self {
        self.takeover_after = still;
        self
    }

    /// How often a leader must change its standing while it has work left: a quarter of the
    /// take-over time, at most 1 s.
    #[must_use]
    pub fn beat(&self) -> Duration {
        (self.takeover_after / 4).clamp(SHORTEST_REST, LONGEST_BEAT)
    }

    /// Notes which epoch this process has claimed, or has learnt that it lost.
    pub fn claimed(&self, epoch: u64) {
        *self.last_epoch.lock().unwrap_or_else(PoisonError::into_inner) = Some(epoch);
    }

    /// Waits until it is this process's turn to claim; false if shutdown came first.
    ///
    /// It is at once, unless somebody claimed later than this process did. Then the leader's
    /// progress is reported here as `component`'s, so that `caught_up` works in every process, until
    /// the leader stands still behind the log, or beside state that it keeps. `look` reads who leads
    /// and how far they have come.
    ///
    /// # Errors
    /// What `look` returns, or why the log's high-water mark could not be read. Calling again later
    /// stands by again.
    ///
    /// # Cancel safety
    /// Changes nothing in the store.
    pub async fn turn<L, F, E>(
        &self,
        context: &ComponentContext,
        component: &str,
        look: L,
    ) -> Result<bool, E>
    where
        L: Fn() -> F,
        F: Future<Output = Result<Standing, E>>,
        E: From<ReadError>,
    {
        let turn = self.until_turn(context, component, look);
        match context.shutdown.run_until_cancelled(turn).await {
            Some(turn) => turn.map(|()| true),
            None => Ok(false),
        }
    }

    async fn until_turn<L, F, E>(
        &self,
        context: &ComponentContext,
        component: &str,
        look: L,
    ) -> Result<(), E>
    where
        L: Fn() -> F,
        F: Future<Output = Result<Standing, E>>,
        E: From<ReadError>,
    {
        let last = *self.last_epoch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = last else {
            return Ok(());
        };
        let mut last_seen = look().await?;
        if last_seen.epoch == last {
            return Ok(());
        }
        tracing::info!(component, epoch = last_seen.epoch, "another process leads, standing by");
        context.progress.report(component, last_seen.position);
        let rest = LONGEST_LOOK.min(self.takeover_after / 4).max(SHORTEST_REST);
        let mut still_since = Instant::now();
        while still_since.elapsed() < self.takeover_after {
            tokio::time::sleep(rest).await;
            let standing = look().await?;
            context.progress.report(component, standing.position);
            let has_work =
                standing.has_state || standing.position < context.store.high_water_mark().await?;
            if standing != last_seen || !has_work {
                (last_seen, still_since) = (standing, Instant::now());
            }
        }
        tracing::warn!(component, "the leader stands still with work left, taking over");
        Ok(())
    }
}

impl Default for Standby {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
