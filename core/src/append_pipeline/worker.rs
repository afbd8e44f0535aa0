//! The tasks behind a pipeline: workers that take batches, and the supervisor that keeps them alive.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::batch::Batch;
use super::limits::{PipelineLimits, Room};
use super::queue::{Queue, Waiting};
use super::{BatchWriter, batch};
use crate::{AppendError, AppendSignal};

/// How long appends that are few beside a batch in flight wait for its end. It may be stuck behind
/// somebody's lock, and they have nothing to do with it.
const PATIENCE_OF_FEW: Duration = Duration::from_millis(5);

/// What callers, workers and the supervisor share.
pub(super) struct Shared {
    writer: Box<dyn BatchWriter>,
    limits: PipelineLimits,
    signal: AppendSignal,
    pub(super) room: Room,
    queue: Mutex<Queue>,
    /// Wakes a worker for what it may take or must keep an eye on, all of them when the pipeline closes.
    wake: Notify,
}

impl Shared {
    pub(super) fn new(
        writer: impl BatchWriter,
        limits: PipelineLimits,
        signal: AppendSignal,
    ) -> Self {
        Self {
            writer: Box::new(writer),
            room: Room::new(&limits),
            limits,
            signal,
            queue: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// The queue's methods change it in steps that can't fail halfway, so a poisoned lock still
    /// holds a whole queue.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append, unless the pipeline closed while it waited for room.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), AppendError> {
        let is_wanted = {
            let mut queue = self.queue();
            if queue.is_closed {
                return Err(AppendError::Closed);
            }
            let had_few = queue.has_few();
            queue.push(waiting);
            // The first of few starts a worker's clock, the rest leave it running.
            queue.has_batch() || !had_few && queue.has_few()
        };
        if is_wanted {
            self.wake.notify_one();
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.room.close();
        self.queue().is_closed = true;
        self.wake.notify_waiters();
    }

    /// Gives back the streams of `batch` (invariant 5: called by its drop).
    pub(super) fn release(&self, batch: &[crate::Append]) {
        let is_wanted = {
            let mut queue = self.queue();
            queue.release_batch(batch);
            queue.has_batch() || queue.has_few()
        };
        if is_wanted {
            self.wake.notify_one();
        }
    }

    /// Waits for the next batch; `None` once the pipeline is closed and nothing is ready.
    ///
    /// Appends that are still blocked then wait for a batch in flight, and the worker that writes
    /// it comes here again before it ends.
    async fn next_batch(self: &Arc<Self>) -> Option<Batch> {
        let mut is_late = false;
        loop {
            let woken = self.wake.notified();
            tokio::pin!(woken);
            // From here on no notification is missed, whatever happens before the await.
            woken.as_mut().enable();
            let (taken, has_batch, has_few, is_closed) = {
                let mut queue = self.queue();
                let is_closed = queue.is_closed;
                let taken = queue.take_batch(&self.limits, is_late || is_closed);
                (taken, queue.has_batch(), queue.has_few(), is_closed)
            };
            if !taken.is_empty() {
                if has_batch || has_few {
                    self.wake.notify_one();
                }
                return Some(Batch::new(self.clone(), taken));
            }
            if is_closed {
                return None;
            }
            is_late = if has_few {
                tokio::time::timeout(PATIENCE_OF_FEW, woken).await.is_err()
            } else {
                woken.await;
                false
            };
            // Whoever was answered with the one that woke this worker is about to append, too. A
            // caller that is alone waits for nobody.
            if !is_late && self.queue().is_any_in_flight() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Keeps the workers running until the pipeline is closed and drained.
///
/// A writer's panic is caught around the write itself; what ends a worker here is a fault of this
/// crate. Its callers have learnt `OutcomeUnknown` by then, and a new worker takes its place.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut workers = JoinSet::new();
    for _ in 0..shared.limits.batches_in_flight {
        workers.spawn(work(shared.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker of the append pipeline was lost, starting another");
            workers.spawn(work(shared.clone()));
        }
    }
}

async fn work(shared: Arc<Shared>) {
    while let Some(batch) = shared.next_batch().await {
        let callers = batch.appends().len();
        let first_pause = shared.limits.first_pause;
        let outcomes = batch::settle(&*shared.writer, batch.appends(), first_pause).await;
        let has_appended = outcomes.iter().any(Result::is_ok);
        shared.queue().share.note(batch.appends(), &outcomes);
        batch.answer(outcomes);
        if has_appended {
            shared.signal.notify();
        }
        // Those who were answered go first: what they append next belongs into the next batch. Taken
        // at once, it would hold the few that came meanwhile, and a crowd would split into crumbs.
        if callers > 1 {
            tokio::task::yield_now().await;
        }
    }
}
