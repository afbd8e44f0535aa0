//! How often, and how patiently, a step is tried.

use std::time::Duration;

/// How a step's call, or its compensation, is repeated while it fails for want of something.
///
/// When the attempts are used up the saga pauses, with the last reason. Attempts are counted from
/// the last transition on record: a restart, or a resumption, counts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How many times it is tried before the saga pauses; at least once.
    pub max_attempts: u32,
    /// The pause before the second attempt; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long one attempt may take. Then it is dropped and counts as failed for now.
    pub attempt_limit: Duration,
}

impl Default for RetryPolicy {
    /// 10 attempts of at most 30 s each, with pauses from 100 ms to 30 s.
    fn default() -> Self {
        Self {
            max_attempts: 10,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
            attempt_limit: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Gives up after this many attempts (at least 1).
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Pauses this long before the second attempt, and never longer than `longest`.
    #[must_use]
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_pause, self.longest_pause) = (first, longest);
        self
    }

    /// Gives one attempt this long.
    #[must_use]
    pub fn with_attempt_limit(mut self, limit: Duration) -> Self {
        self.attempt_limit = limit;
        self
    }

    /// The pause before the next attempt when `failed` have failed; `None` when that was the last.
    #[must_use]
    pub(crate) fn pause_after(&self, failed: u32) -> Option<Duration> {
        if failed >= self.max_attempts {
            return None;
        }
        let doubled = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(self.first_pause.saturating_mul(doubled).min(self.longest_pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let policy = RetryPolicy::default()
            .with_max_attempts(40)
            .with_pauses(Duration::from_millis(10), Duration::from_millis(50));
        let pauses: Vec<_> = [1, 2, 3, 4, 39].map(|failed| policy.pause_after(failed)).into();
        let expected: Vec<_> =
            [10, 20, 40, 50, 50].map(|ms| Some(Duration::from_millis(ms))).into();
        assert_eq!(pauses, expected);
        assert_eq!(policy.pause_after(40), None);
    }
}
