//! When which saga is to be looked at again.
//!
//! A timer is never revoked: whoever it wakes looks at what is on record, and a late timer finds
//! nothing to do. The due times themselves are in the sagas' streams; this is only the alarm clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use highwater_core::{Clock, StreamId};
use jiff::Timestamp;

#[derive(Default)]
pub(crate) struct Timers {
    due: BinaryHeap<Reverse<(Timestamp, StreamId)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, due: Timestamp, saga: StreamId) {
        self.due.push(Reverse((due, saga)));
    }

    /// Waits for the earliest timer and takes it; for ever if there is none.
    ///
    /// # Cancel safety
    /// A timer is taken only when it is returned.
    pub(crate) async fn next(&mut self, clock: &dyn Clock) -> StreamId {
        let Some(Reverse((due, _))) = self.due.peek() else {
            return std::future::pending().await;
        };
        clock.sleep_until(*due).await;
        match self.due.pop() {
            Some(Reverse((_, saga))) => saga,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use highwater_core::ManualClock;

    use super::*;

    #[tokio::test]
    async fn timers_come_in_the_order_of_their_times() {
        let clock = ManualClock::default();
        let at = |seconds| Timestamp::from_second(seconds).expect("a valid time");
        let saga = |key: &str| StreamId::new("saga.test", key).expect("a valid stream");
        let mut timers = Timers::default();
        timers.set(at(2), saga("late"));
        timers.set(at(1), saga("soon"));
        clock.advance(Duration::from_secs(5));
        assert_eq!(timers.next(&clock).await, saga("soon"));
        assert_eq!(timers.next(&clock).await, saga("late"));
    }
}
