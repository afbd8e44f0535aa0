//! What time it is, and waiting for a time to come, for code that is to be tested without waiting.
//!
//! Left out: anything that decides what is safe to read. No clock does.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the system clock is trusted to run evenly: a wait looks at it again this often.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// Tells the time and wakes sleepers.
///
/// # Contract
/// - `sleep_until` MUST return once `now` has reached `due`, also if the clock jumped there.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Returns once `due` has come; at once if it has passed.
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn sleep_until(&self, due: Timestamp);
}

#[async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    async fn sleep_until(&self, due: Timestamp) {
        (**self).sleep_until(due).await;
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, due: Timestamp) {
        loop {
            let left = due.duration_since(self.now());
            if left <= SignedDuration::ZERO {
                return;
            }
            tokio::time::sleep(left.unsigned_abs().min(LONGEST_NAP)).await;
        }
    }
}

/// A clock that stands still until a test moves it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    time: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { time: watch::channel(now).0 }
    }

    /// Moves the clock forward and wakes every sleeper whose time has come. Stops at the end of
    /// time.
    pub fn advance(&self, by: Duration) {
        self.time.send_modify(|time| {
            *time = SignedDuration::try_from(by)
                .ok()
                .and_then(|by| time.checked_add(by).ok())
                .unwrap_or(Timestamp::MAX);
        });
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Timestamp::UNIX_EPOCH)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.time.borrow()
    }

    async fn sleep_until(&self, due: Timestamp) {
        // This value holds the sender, so the channel can't close.
        let _ = self.time.subscribe().wait_for(|time| *time >= due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_moved_to_its_time_and_not_before() {
        let clock = ManualClock::default();
        let due = Timestamp::from_second(10).expect("a valid time");
        let mut sleep = std::pin::pin!(clock.sleep_until(due));
        clock.advance(Duration::from_secs(9));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(futures::poll!(&mut sleep).is_ready());
    }

    #[tokio::test]
    async fn a_time_that_has_passed_is_not_waited_for() {
        SystemClock.sleep_until(Timestamp::UNIX_EPOCH).await;
    }
}
