//! What waits to be told to one saga, and which outside events are not yet dealt with.
//!
//! # Why no event is lost
//! 1. Every delivery holds a [`Receipt`]. The checkpoint stays below the lowest position with a
//!    receipt that wasn't handed back.
//! 2. A receipt is handed back only when the event's consequences are on record. One that is merely
//!    dropped (a crash, an error) keeps the checkpoint where it is, for the next run to read again.
//!
//! Bounded by the manager, which reads no further while too many receipts are out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use highwater_core::{GlobalPosition, Payload, RecordedEvent, WarmSince};
use tokio::sync::Notify;

/// What a saga is told.
pub(crate) enum Signal {
    /// Start, in this state; paused, if there is a reason: its key can't name a stream and was
    /// replaced, or its state can't be written and is left out.
    Start { state: Option<Payload>, event: Arc<RecordedEvent>, pause: Option<String> },
    /// Turn back.
    Cancel { event: Arc<RecordedEvent> },
    /// A step's answer has come.
    Answer { step: String, event: Arc<RecordedEvent> },
    /// Somebody else recorded a transition.
    Reload,
}

pub(crate) struct Delivery {
    pub(crate) signal: Signal,
    pub(crate) receipt: Receipt,
    /// When it came out of the log.
    pub(crate) warm_since: WarmSince,
}

/// The deliveries to one saga, in the order of the log.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<VecDeque<Delivery>>,
    arrival: Notify,
}

impl Inbox {
    pub(crate) fn push(&self, delivery: Delivery) {
        self.locked().push_back(delivery);
        self.arrival.notify_one();
    }

    pub(crate) fn pop(&self) -> Option<Delivery> {
        self.locked().pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Waits until there is something to pop. Only one may wait.
    pub(crate) async fn arrival(&self) {
        while self.is_empty() {
            self.arrival.notified().await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The outside events that are read and not yet dealt with.
#[derive(Default)]
pub(crate) struct Unfinished {
    positions: Mutex<BTreeMap<GlobalPosition, usize>>,
    change: Notify,
    is_suspicious: AtomicBool,
    ignored: AtomicU64,
}

impl Unfinished {
    pub(crate) fn receipt(self: &Arc<Self>, position: GlobalPosition) -> Receipt {
        *self.locked().entry(position).or_default() += 1;
        Receipt { position, unfinished: self.clone() }
    }

    pub(crate) fn count(&self) -> usize {
        self.locked().len()
    }

    /// How far everything is dealt with, if everything up to `read_to` was read.
    pub(crate) fn finished_up_to(&self, read_to: GlobalPosition) -> GlobalPosition {
        let lowest = self.locked().keys().next().copied();
        lowest.map_or(read_to, |position| GlobalPosition::new(position.get() - 1))
    }

    /// Waits until a receipt came back, or somebody else was seen at work.
    pub(crate) async fn change(&self) {
        self.change.notified().await;
    }

    /// Somebody else drove a saga of ours: the claim should be checked.
    pub(crate) fn suspect_rival(&self) {
        self.is_suspicious.store(true, Ordering::Release);
        self.change.notify_one();
    }

    /// Counts an event that matched no saga; returns how many there were since the start.
    pub(crate) fn count_ignored(&self) -> u64 {
        self.ignored.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn take_suspicion(&self) -> bool {
        self.is_suspicious.swap(false, Ordering::AcqRel)
    }

    fn finish(&self, position: GlobalPosition) {
        let mut positions = self.locked();
        if let Some(count) = positions.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                positions.remove(&position);
            }
        }
        drop(positions);
        self.change.notify_one();
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<GlobalPosition, usize>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the checkpoint below an event.
pub(crate) struct Receipt {
    position: GlobalPosition,
    unfinished: Arc<Unfinished>,
}

impl Receipt {
    /// The event's consequences are on record, or it has none.
    pub(crate) fn hand_back(self) {
        self.unfinished.finish(self.position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checkpoint_stays_below_the_lowest_event_that_is_not_dealt_with() {
        let unfinished = Arc::new(Unfinished::default());
        let [third, fifth, fifth_again] =
            [3, 5, 5].map(|position| unfinished.receipt(GlobalPosition::new(position)));
        let head = GlobalPosition::new(9);
        assert_eq!(unfinished.finished_up_to(head).get(), 2);
        third.hand_back();
        assert_eq!(unfinished.finished_up_to(head).get(), 4);
        fifth.hand_back();
        drop(fifth_again);
        assert_eq!(unfinished.finished_up_to(head).get(), 4);
    }
}
