//! The command handler's side of snapshots: loading them, and keeping them off everybody's path.
//!
//! # Why no command waits for a snapshot store, or fails by it
//! 1. What is to be kept goes into a line of at most [`MOST_WAITING`]; what finds it full is dropped
//!    and counted. One task serves the line. Who puts something into an unserved line starts that
//!    task; it ends when it finds the line empty, under the same lock.
//! 2. Loading is given [`LOAD_PATIENCE`], keeping [`SAVE_PATIENCE`]. After a failure or a time-out
//!    the snapshot store is left alone for [`REST`]: streams are read whole, and nothing is kept. The
//!    exception is a stream that can't be read whole: it has nothing but its snapshots, so they are
//!    asked for all the same, with [`LONG_LOAD_PATIENCE`].
//! 3. A desk offers a state only between turns: everything in it has committed.
//! 4. Nothing is deleted but by a save's pruning: a stream whose beginning is gone may rest on the
//!    snapshots of another state. One that can't be believed is replaced or outranked by the next; one
//!    above the stream's end is passed over until the stream has outgrown it.
//! 5. A new offer replaces an older one of the same stream and schema that still waits.

use std::any::Any;
use std::collections::VecDeque;
use std::error::Error;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::history::Past;
use crate::{
    EventStore, Evolve, InvalidPayload, Snapshot, SnapshotError, SnapshotPolicy, StateSchema,
    StreamId, StreamVersion,
};

/// How many snapshots may wait to be kept.
const MOST_WAITING: usize = 64;
/// How long a command waits for a snapshot before it reads the stream instead.
const LOAD_PATIENCE: Duration = Duration::from_millis(500);
/// How long it waits if there is nothing else to read.
const LONG_LOAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long keeping one may take.
const SAVE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a snapshot store that failed is left alone.
const REST: Duration = Duration::from_secs(10);

/// What became of snapshots since the command handler was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotCounts {
    /// Were loaded and could be read.
    pub loaded: u64,
    /// Were not believed: unreadable, or not borne out by the log. An older one or the whole stream was
    /// read instead.
    pub distrusted: u64,
    /// Were kept.
    pub saved: u64,
    /// Could not be written, or the store failed or took too long.
    pub failed: u64,
    /// Were not even tried: too many waited, or the store had just failed.
    pub dropped: u64,
}

#[derive(Default)]
struct Counters {
    loaded: AtomicU64,
    distrusted: AtomicU64,
    saved: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// The newest snapshot of a stream.
pub(super) enum Candidate<A> {
    /// It can be read. Whether it belongs to the log is not said by that.
    Readable(Snapshot, A),
    /// There is one that can't be read; of this version, if that much is known.
    Unreadable(Option<StreamVersion>),
    /// There is none.
    None,
    /// None is to be had just now.
    Unavailable,
}

/// How much a load waits for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The stream can be read instead.
    Short,
    /// It can't.
    Long,
}

/// The snapshots of one command handler.
pub(super) struct Snapshots {
    line: Mutex<Line>,
    counters: Counters,
    /// How many turns may still offer something, and one more while the line is served.
    busy: watch::Sender<usize>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Offer>,
    is_served: bool,
    rests_until: Option<Instant>,
}

/// A state that is to be kept.
struct Offer {
    store: Arc<dyn EventStore>,
    stream: StreamId,
    schema: StateSchema,
    version: StreamVersion,
    keep: NonZeroUsize,
    /// Writes the state down, which is the user's code.
    write: Box<dyn FnOnce() -> Result<Snapshot, InvalidPayload> + Send>,
}

impl Snapshots {
    pub(super) fn new() -> Self {
        Self { line: Mutex::default(), counters: Counters::default(), busy: watch::Sender::new(0) }
    }

    pub(super) fn counts(&self) -> SnapshotCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SnapshotCounts {
            loaded: read(&self.counters.loaded),
            distrusted: read(&self.counters.distrusted),
            saved: read(&self.counters.saved),
            failed: read(&self.counters.failed),
            dropped: read(&self.counters.dropped),
        }
    }

    /// A turn begins whose answers are given before its state is offered: until it ends, nothing is
    /// settled.
    pub(super) fn turn(&self) -> Busy<'_> {
        self.busy.send_modify(|busy| *busy += 1);
        Busy { busy: &self.busy }
    }

    /// Returns once nothing waits to be kept.
    pub(super) async fn settled(&self) {
        // This value holds the sender, so the channel can't close.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }

    /// True if snapshots of such states are taken.
    pub(super) fn are_taken<A: Evolve>(&self, store: &dyn EventStore) -> bool {
        A::SNAPSHOTS.is_some() && store.snapshots().is_some()
    }

    /// The newest snapshot of a stream at or below a version.
    pub(super) async fn load<A: Evolve>(
        &self,
        store: &dyn EventStore,
        stream: &StreamId,
        at_most: StreamVersion,
        patience: Patience,
    ) -> Candidate<A> {
        let (Some(policy), Some(snapshots)) = (A::SNAPSHOTS, store.snapshots()) else {
            return Candidate::None;
        };
        let patience = match patience {
            Patience::Short if self.rests() => return Candidate::Unavailable,
            Patience::Short => LOAD_PATIENCE,
            Patience::Long => LONG_LOAD_PATIENCE,
        };
        let schema = policy.schema();
        let loading = snapshots.load_snapshot(stream, &schema, at_most);
        match timeout(patience, loading).await {
            Ok(Ok(None)) => Candidate::None,
            Ok(Ok(Some(snapshot))) => self.readable(&policy, snapshot, stream, at_most),
            Ok(Err(error)) if !error.is_retryable() => {
                self.distrust(stream, &in_full(&error));
                let corrupt = match error {
                    SnapshotError::Corrupt { version, .. } => version,
                    _ => None,
                };
                // One above what was asked for would be asked for again.
                Candidate::Unreadable(corrupt.filter(|version| *version <= at_most))
            }
            Ok(Err(error)) => {
                self.rest("load", stream, &in_full(&error));
                Candidate::Unavailable
            }
            Err(_) => {
                self.rest("load", stream, "it took too long");
                Candidate::Unavailable
            }
        }
    }

    fn readable<A: Evolve>(
        &self,
        policy: &SnapshotPolicy<A>,
        snapshot: Snapshot,
        stream: &StreamId,
        at_most: StreamVersion,
    ) -> Candidate<A> {
        // The store's promises are checked as well: a wrong state is worse than a slow one.
        if snapshot.stream != *stream
            || snapshot.schema != policy.schema()
            || snapshot.version > at_most
        {
            self.distrust(stream, "it isn't the one that was asked for");
            return Candidate::Unreadable(None);
        }
        match guarded(|| policy.read(&snapshot.data)) {
            Ok(Ok(state)) => {
                self.counters.loaded.fetch_add(1, Ordering::Relaxed);
                Candidate::Readable(snapshot, state)
            }
            Ok(Err(_)) => {
                // Not what JSON says: it may quote the data.
                self.distrust(stream, "its data isn't such a state");
                Candidate::Unreadable(Some(snapshot.version))
            }
            Err(_) => {
                self.distrust(stream, "reading its state panicked");
                Candidate::Unreadable(Some(snapshot.version))
            }
        }
    }

    /// Notes that a snapshot is not believed.
    pub(super) fn distrust(&self, stream: &StreamId, why: &str) {
        self.counters.distrusted.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%stream, why, "a snapshot is not believed; an older one or the whole stream is read instead");
    }

    /// Has a state kept if it is time for that. Never waits.
    pub(super) fn offer_if_due<A: Evolve>(
        self: &Arc<Self>,
        store: &Arc<dyn EventStore>,
        stream: &StreamId,
        past: &mut Past<A>,
    ) {
        let (Some(policy), true) = (A::SNAPSHOTS, store.snapshots().is_some()) else {
            return;
        };
        let version = past.loaded.version;
        let events = version.get().saturating_sub(past.kept_at.get());
        let Some(last_event) = past.last_event else {
            return;
        };
        if past.has_unknown || !policy.is_due(events, past.bytes_since_kept) {
            return;
        }
        let (state, position) = (past.loaded.state.clone(), past.loaded.position);
        // Also if it comes to nothing: the next try is as far away as after a success.
        (past.kept_at, past.bytes_since_kept) = (version, 0);
        let (stream, schema) = (stream.clone(), policy.schema());
        let write = {
            let (stream, schema) = (stream.clone(), schema.clone());
            move || {
                let data = policy.write(&state)?;
                let taken_at = Timestamp::now();
                Ok(Snapshot { stream, schema, version, position, last_event, data, taken_at })
            }
        };
        let (store, keep, write) = (store.clone(), policy.kept(), Box::new(write));
        self.push(Offer { store, stream, schema, version, keep, write });
    }

    fn push(self: &Arc<Self>, offer: Offer) {
        if self.is_left_to_be_served(offer) {
            // Not under the line's lock: a runtime that is ending drops the task at once, and with it
            // what gives the right to serve back.
            tokio::spawn(Served { snapshots: Arc::clone(self), has_ended: false }.serve());
        }
    }

    /// Puts an offer into the line; true if nobody serves it, which is the caller's to do from now on.
    fn is_left_to_be_served(&self, offer: Offer) -> bool {
        let mut line = self.line();
        // Tenants name their streams alike, and have stores of their own.
        let same = |other: &&mut Offer| {
            other.stream == offer.stream
                && other.schema == offer.schema
                && Arc::ptr_eq(&other.store, &offer.store)
        };
        if let Some(waiting) = line.waiting.iter_mut().find(same) {
            if waiting.version < offer.version {
                *waiting = offer;
            }
            return false;
        }
        if line.waiting.len() >= MOST_WAITING || line.rests() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        line.waiting.push_back(offer);
        if line.is_served {
            return false;
        }
        line.is_served = true;
        self.busy.send_modify(|busy| *busy += 1);
        true
    }

    fn rests(&self) -> bool {
        self.line().rests()
    }

    /// Leaves the snapshot store alone for a while. Said once for each while.
    fn rest(&self, doing: &str, stream: &StreamId, why: &str) {
        let mut line = self.line();
        if !line.rests() {
            tracing::warn!(%stream, doing, why, rest = ?REST, "the snapshot store is left alone");
        }
        line.rests_until = Some(Instant::now() + REST);
        self.counters.dropped.fetch_add(line.waiting.len() as u64, Ordering::Relaxed);
        line.waiting.clear();
    }

    fn is_no_longer_served(&self, line: &mut Line) {
        line.is_served = false;
        self.busy.send_modify(|busy| *busy -= 1);
    }

    /// A poisoned lock still holds a whole line: every change to it is one step.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|end| Instant::now() < end)
    }
}

/// A turn in progress.
pub(super) struct Busy<'a> {
    busy: &'a watch::Sender<usize>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.busy.send_modify(|busy| *busy -= 1);
    }
}

/// The right to serve the line. Lost in a panic or with its runtime, it lets the next one come.
struct Served {
    snapshots: Arc<Snapshots>,
    has_ended: bool,
}

impl Served {
    async fn serve(mut self) {
        while let Some(offer) = self.next() {
            let (snapshots, stream) = (&*self.snapshots, offer.stream.clone());
            match timeout(SAVE_PATIENCE, keep(offer)).await {
                Ok(Ok(())) => {
                    snapshots.counters.saved.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Ok(Err(NotKept::Store(error))) if error.is_retryable() => {
                    snapshots.rest("keep", &stream, &in_full(&error));
                }
                Ok(Err(error)) => {
                    tracing::warn!(%stream, error = in_full(&error), "a snapshot can't be kept");
                }
                Err(_) => snapshots.rest("keep", &stream, "it took too long"),
            }
            snapshots.counters.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is to be kept next; `None` gives the right back.
    fn next(&mut self) -> Option<Offer> {
        let mut line = self.snapshots.line();
        let offer = line.waiting.pop_front();
        if offer.is_none() {
            self.has_ended = true;
            self.snapshots.is_no_longer_served(&mut line);
        }
        offer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut line = self.snapshots.line();
            line.waiting.clear();
            self.snapshots.is_no_longer_served(&mut line);
        }
    }
}

/// Why a snapshot was not kept.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error("the state can't be written as JSON")]
    Unwritable,
    #[error("writing the state panicked")]
    Panicked,
    #[error("the snapshot store failed")]
    Store(#[from] SnapshotError),
}

async fn keep(offer: Offer) -> Result<(), NotKept> {
    let Offer { store, keep, write, .. } = offer;
    let written = guarded(write).map_err(|_| NotKept::Panicked)?;
    let snapshot = written.map_err(|_| NotKept::Unwritable)?;
    let Some(snapshots) = store.snapshots() else {
        return Ok(());
    };
    Ok(snapshots.save_snapshot(&snapshot, keep).await?)
}

/// Runs the user's own code, whose panic is not to be anybody else's.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(run))
}

/// An error with its causes, for the log. Not for errors about data, which might quote it.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
