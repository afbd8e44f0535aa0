//! How far long work on the log has come, for people who wait for it.

use std::time::{Duration, Instant};

/// How far an archive, a restore or a removal has come.
///
/// Units are positions of the log, or versions of the stream: how many there are is known
/// beforehand, how many of them hold an event is not.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetentionProgress {
    /// How many positions or versions are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// How many events they held.
    pub events: u64,
    /// Since when it has been going on.
    pub elapsed: Duration,
}

impl RetentionProgress {
    /// Events per second so far.
    #[must_use]
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// How long the rest takes at the pace so far; `None` while there is no pace.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total.saturating_sub(self.done) as f64;
        let seconds = self.elapsed.as_secs_f64() * left / self.done as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Counts, and tells whoever wants to know.
pub(super) struct Counting<'a> {
    started: Instant,
    total: u64,
    events: u64,
    tell: &'a mut (dyn FnMut(RetentionProgress) + Send),
}

impl<'a> Counting<'a> {
    pub(super) fn of(total: u64, tell: &'a mut (dyn FnMut(RetentionProgress) + Send)) -> Self {
        Self { started: Instant::now(), total, events: 0, tell }
    }

    /// `done` of the total in all, and `events` more than before.
    pub(super) fn reached(&mut self, done: u64, events: u64) {
        self.events += events;
        (self.tell)(RetentionProgress {
            done: done.min(self.total),
            total: self.total,
            events: self.events,
            elapsed: self.started.elapsed(),
        });
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_takes_as_long_as_its_share() {
        let elapsed = Duration::from_secs(10);
        let progress = RetentionProgress { done: 25, total: 100, events: 50, elapsed };
        assert_eq!(progress.remaining(), Some(Duration::from_secs(30)));
        assert!((progress.events_per_second() - 5.0).abs() < 1e-9);
        assert_eq!(RetentionProgress { done: 0, ..progress }.remaining(), None);
    }
}
