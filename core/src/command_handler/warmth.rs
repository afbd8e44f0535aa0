//! How long what was read from the log may be used from memory.
//!
//! A state in memory may hold what the log no longer shows: the data of a person who was forgotten.
//! So it is given up when somebody is forgotten here, and by age for whom another process forgot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::EventStore;

/// When something was read from the log that is kept in memory; see
/// [`CommandHandler::warm_since`](super::CommandHandler::warm_since). Of several, the earliest counts: the
/// smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WarmSince {
    at: Instant,
    forgotten: u64,
}

impl WarmSince {
    /// True if nobody was forgotten between the two.
    pub(super) fn is_as_forgetful_as(self, other: Self) -> bool {
        self.forgotten == other.forgotten
    }
}

/// Says of each state whether it may still be used.
#[derive(Clone, Default)]
pub(super) struct Warmth {
    /// How old a state may become.
    age: Option<Duration>,
    /// How often all states were forgotten: one count for all handlers that were made from one another.
    forgettings: Arc<AtomicU64>,
}

impl Warmth {
    pub(super) fn with_age(&self, age: Duration) -> Self {
        Self { age: Some(age), forgettings: self.forgettings.clone() }
    }

    /// To be noted before a state is read from `store`.
    pub(super) fn reading(&self, store: &dyn EventStore) -> WarmSince {
        let now = self.now();
        // Both only grow.
        WarmSince { forgotten: now.forgotten + store.forgettings(), ..now }
    }

    /// True if what was read from `store` at `since` may be used by what begins now.
    pub(super) fn lasts_of(&self, since: WarmSince, store: &dyn EventStore) -> bool {
        self.reading(store).is_as_forgetful_as(since) && self.is_young(since)
    }

    /// For a place that states are kept in: nothing was read for it.
    pub(super) fn now(&self) -> WarmSince {
        WarmSince { at: Instant::now(), forgotten: self.forgettings.load(Ordering::Acquire) }
    }

    /// True if the place may be used by what begins now.
    pub(super) fn lasts(&self, since: WarmSince) -> bool {
        self.now().is_as_forgetful_as(since) && self.is_young(since)
    }

    fn is_young(&self, since: WarmSince) -> bool {
        self.age.is_none_or(|age| since.at.elapsed() < age)
    }

    pub(super) fn forget(&self) {
        self.forgettings.fetch_add(1, Ordering::AcqRel);
    }
}
