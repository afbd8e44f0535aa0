//! How much a pipeline holds and writes at a time, and how callers wait for room in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Append;

/// What an event costs beside its data: its envelope, its place in the queue.
const ENVELOPE_BYTES: usize = 256;

/// How much an [`AppendPipeline`](crate::AppendPipeline) holds and writes at a time.
///
/// The defaults: 2 batches in flight, 1,000 events and 4 MiB per batch, 10,000 appends and 64 MiB
/// in the pipeline.
#[derive(Clone, Debug)]
pub struct PipelineLimits {
    pub(super) batches_in_flight: usize,
    pub(super) batch_events: usize,
    pub(super) batch_bytes: usize,
    pub(super) queue_appends: usize,
    pub(super) queue_bytes: usize,
    /// How long the first repetition of a lost commit waits; later ones wait longer.
    pub(super) first_pause: Duration,
}

impl Default for PipelineLimits {
    fn default() -> Self {
        Self {
            // Measured on two cores: one leaves the disk idle between commits, four split the crowd
            // into batches too small (2 are 1.3 to 1.5 times faster at 8 to 256 writers).
            batches_in_flight: 2,
            batch_events: 1_000,
            batch_bytes: 4 * 1024 * 1024,
            queue_appends: 10_000,
            queue_bytes: 64 * 1024 * 1024,
            first_pause: Duration::from_millis(20),
        }
    }
}

impl PipelineLimits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes at most this many batches at the same time, each on a connection of its own (at
    /// least 1).
    #[must_use]
    pub fn with_batches_in_flight(mut self, batches: usize) -> Self {
        self.batches_in_flight = batches.max(1);
        self
    }

    /// Puts at most this many events into a batch (at least 1). An append that alone has more is a
    /// batch of its own.
    #[must_use]
    pub fn with_batch_events(mut self, events: usize) -> Self {
        self.batch_events = events.max(1);
        self
    }

    /// Puts at most this many bytes of data into a batch. An append that alone has more is a batch
    /// of its own.
    #[must_use]
    pub fn with_batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Holds at most this many appends, waiting or in flight (at least 1); further callers wait.
    #[must_use]
    pub fn with_queue_appends(mut self, appends: usize) -> Self {
        self.queue_appends = appends.max(1);
        self
    }

    /// Holds at most this many bytes, waiting or in flight; further callers wait. An append that
    /// alone has more waits until the pipeline is empty.
    #[must_use]
    pub fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes.max(1);
        self
    }

    /// How many batches may be in flight at a time.
    #[must_use]
    pub fn batches_in_flight(&self) -> usize {
        self.batches_in_flight
    }
}

/// What an append takes up, for the sums that the limits bound.
pub(super) fn weight_bytes(append: &Append) -> usize {
    append.size_bytes() + append.event_count() * ENVELOPE_BYTES
}

/// The room in the pipeline: callers wait here, in order of arrival, while it is full.
pub(super) struct Room {
    appends: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    total_bytes: u32,
}

/// Room that one append takes up until it is answered.
pub(super) struct Taken {
    _append: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(limits: &PipelineLimits) -> Self {
        let total_bytes = u32::try_from(limits.queue_bytes).unwrap_or(u32::MAX);
        Self {
            appends: Arc::new(Semaphore::new(limits.queue_appends.min(Semaphore::MAX_PERMITS))),
            bytes: Arc::new(Semaphore::new(total_bytes as usize)),
            total_bytes,
        }
    }

    /// Waits for room; `None` once the pipeline is closed.
    ///
    /// Both waits are first come, first served, and the second is entered in the order in which the
    /// first was left: appends reach the queue in the order in which they came.
    pub(super) async fn take(&self, append: &Append) -> Option<Taken> {
        let bytes = u32::try_from(weight_bytes(append)).unwrap_or(u32::MAX);
        let one = self.appends.clone().acquire_owned().await.ok()?;
        let bytes = bytes.min(self.total_bytes);
        let bytes = self.bytes.clone().acquire_many_owned(bytes).await.ok()?;
        Some(Taken { _append: one, _bytes: bytes })
    }

    pub(super) fn close(&self) {
        self.appends.close();
        self.bytes.close();
    }
}
