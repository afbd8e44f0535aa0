//! How often a decision that lost is made again, and how long it waits before that.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// How often a decision is made before it is given up as contended.
pub(crate) const MAX_ATTEMPTS: u32 = 10;

/// A first retry at once would meet the same crowd again; jitter takes it apart.
pub(crate) fn retry_pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(2))
        .with_max_delay(Duration::from_millis(200))
        .with_max_times(MAX_ATTEMPTS as usize - 1)
        .with_jitter()
        .build()
}
