//! How an aggregate asks for snapshots of its state: which state, in which shape, how often.
//!
//! Left out: where snapshots are kept (the store's business) and when they are trusted (the command
//! handler's).

use std::borrow::Cow;
use std::num::NonZeroUsize;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{InvalidPayload, Payload};

/// How many snapshots of a stream are kept unless told otherwise: the newest to load from, and one
/// more for whoever looks back a little.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Which state a snapshot holds, and in which shape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateSchema {
    /// The name of the state's type. Two types may be made of one stream; neither may ever be taken
    /// for the other.
    pub name: Cow<'static, str>,
    /// Raised whenever the same events make another state: a field more, or an `evolve` that does
    /// something else.
    pub version: u32,
}

/// When snapshots of an aggregate are taken, and how its state is written and read.
///
/// `#[aggregate(snapshot(every = 100, version = 1))]` makes one; an aggregate that is written by hand
/// sets [`Aggregate::SNAPSHOTS`](crate::Aggregate::SNAPSHOTS):
///
/// ```
/// use highwater::SnapshotPolicy;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Account { cents: i64 }
///
/// const SNAPSHOTS: Option<SnapshotPolicy<Account>> =
///     Some(SnapshotPolicy::new("Account", 1).with_every(100).with_every_bytes(1024 * 1024));
/// ```
pub struct SnapshotPolicy<A> {
    name: &'static str,
    version: u32,
    every_events: Option<u64>,
    every_bytes: Option<u64>,
    kept: NonZeroUsize,
    write: fn(&A) -> Result<Payload, InvalidPayload>,
    read: fn(&Payload) -> Result<A, InvalidPayload>,
}

/// A state that can be kept in a snapshot: whatever is `Serialize` and `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "the state `{Self}` can't be kept in a snapshot",
    label = "add `#[derive(Serialize, Deserialize)]` to `{Self}`, or leave out `snapshot(…)`"
)]
pub trait SnapshotState: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<S: Serialize + DeserializeOwned> SnapshotState for S {}

impl<A: SnapshotState> SnapshotPolicy<A> {
    /// Snapshots of the state called `name`, in its shape `version`. None is taken until
    /// [`with_every`](Self::with_every) or [`with_every_bytes`](Self::with_every_bytes) says when.
    #[must_use]
    pub const fn new(name: &'static str, version: u32) -> Self {
        Self {
            name,
            version,
            every_events: None,
            every_bytes: None,
            kept: KEPT,
            write: write::<A>,
            read: Payload::to_value::<A>,
        }
    }
}

impl<A> SnapshotPolicy<A> {
    /// Takes one when this many events stand behind the last one. 0 counts as 1.
    #[must_use]
    pub const fn with_every(mut self, events: u64) -> Self {
        self.every_events = Some(if events == 0 { 1 } else { events });
        self
    }

    /// Takes one when the data of the events behind the last one has this many bytes. 0 counts as 1.
    #[must_use]
    pub const fn with_every_bytes(mut self, bytes: u64) -> Self {
        self.every_bytes = Some(if bytes == 0 { 1 } else { bytes });
        self
    }

    /// Keeps this many snapshots of a stream (2 unless told). More than one serve time travel only. 0
    /// counts as 1.
    #[must_use]
    pub const fn with_kept(mut self, snapshots: usize) -> Self {
        self.kept = match NonZeroUsize::new(snapshots) {
            Some(snapshots) => snapshots,
            None => NonZeroUsize::MIN,
        };
        self
    }

    /// Which state is kept, and in which shape.
    #[must_use]
    pub const fn schema(&self) -> StateSchema {
        StateSchema { name: Cow::Borrowed(self.name), version: self.version }
    }

    /// How many snapshots of a stream are kept.
    #[must_use]
    pub const fn kept(&self) -> NonZeroUsize {
        self.kept
    }

    /// True if a snapshot should be taken once so much stands behind the last one.
    #[must_use]
    pub fn is_due(&self, events: u64, bytes: u64) -> bool {
        let is_reached = |at: Option<u64>, by: u64| at.is_some_and(|at| by >= at);
        events > 0 && (is_reached(self.every_events, events) || is_reached(self.every_bytes, bytes))
    }

    /// Writes a state down.
    ///
    /// # Errors
    /// [`InvalidPayload`] if it can't be written as JSON.
    pub fn write(&self, state: &A) -> Result<Payload, InvalidPayload> {
        (self.write)(state)
    }

    /// Reads a state that was written down.
    ///
    /// # Errors
    /// [`InvalidPayload`] if the JSON isn't such a state.
    pub fn read(&self, data: &Payload) -> Result<A, InvalidPayload> {
        (self.read)(data)
    }
}

impl<A> Clone for SnapshotPolicy<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for SnapshotPolicy<A> {}

fn write<A: Serialize>(state: &A) -> Result<Payload, InvalidPayload> {
    Payload::from_value(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_count_or_by_size_whichever_comes_first() {
        let policy = SnapshotPolicy::<u64>::new("Sum", 1).with_every(3).with_every_bytes(100);
        assert!(!policy.is_due(2, 99));
        assert!(policy.is_due(3, 0));
        assert!(policy.is_due(1, 100));
        assert!(!policy.is_due(0, 0), "there is nothing new to keep");
        assert!(!SnapshotPolicy::<u64>::new("Sum", 1).is_due(1_000, 1_000), "nobody said when");
    }
}
