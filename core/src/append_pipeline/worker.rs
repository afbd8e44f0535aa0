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
/// The same where other processes append more: there a batch that isn't stuck takes longer, too.
const PATIENCE_AMONG_MANY: Duration = Duration::from_millis(25);

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
            queue.wants_worker() && (queue.has_batch() || !had_few)
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
            queue.wants_worker()
        };
        if is_wanted {
            self.wake.notify_one();
        }
    }

    /// A worker is about to look for its next batch: nobody else need be woken until it has.
    pub(super) fn about_to_look(self: &Arc<Self>) -> AboutToLook {
        self.queue().about_to_look += 1;
        AboutToLook { shared: Some(self.clone()) }
    }

    /// Waits for the next batch; `None` once the pipeline is closed and nothing is ready.
    ///
    /// Appends that are still blocked then wait for a batch in flight, and the worker that writes
    /// it comes here again before it ends.
    pub(super) async fn next_batch(
        self: &Arc<Self>,
        about_to_look: Option<AboutToLook>,
    ) -> Option<Batch> {
        let (mut is_late, mut about_to_look) = (false, about_to_look);
        loop {
            let woken = self.wake.notified();
            tokio::pin!(woken);
            // From here on no notification is missed, whatever happens before the await.
            woken.as_mut().enable();
            let (taken, has_batch, has_few, is_closed, patience) = {
                let mut queue = self.queue();
                if let Some(about_to_look) = about_to_look.take() {
                    about_to_look.looks(&mut queue);
                }
                let is_closed = queue.is_closed;
                let taken = queue.take_batch(&self.limits, is_late || is_closed);
                let patience = match queue.share.is_smaller_part() {
                    true => PATIENCE_AMONG_MANY,
                    false => PATIENCE_OF_FEW,
                };
                (taken, queue.has_batch(), queue.has_few(), is_closed, patience)
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
                tokio::time::timeout(patience, woken).await.is_err()
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

/// A worker that was just busy and is about to look for its next batch. Another one that was woken
/// meanwhile would take the few that are there, and those who were answered are about to append.
pub(super) struct AboutToLook {
    /// None once it has looked.
    shared: Option<Arc<Shared>>,
}

impl AboutToLook {
    /// It looks, under the queue's lock.
    fn looks(mut self, queue: &mut Queue) {
        queue.about_to_look -= 1;
        self.shared = None;
    }
}

/// It was lost instead: what it would have seen is somebody else's now.
impl Drop for AboutToLook {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.queue().about_to_look -= 1;
            shared.wake.notify_one();
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
    let mut about_to_look = None;
    while let Some(batch) = shared.next_batch(about_to_look.take()).await {
        let callers = batch.appends().len();
        let first_pause = shared.limits.first_pause;
        let outcomes = batch::settle(&*shared.writer, batch.appends(), first_pause).await;
        let has_appended = outcomes.iter().any(Result::is_ok);
        shared.queue().share.note(batch.appends(), &outcomes);
        about_to_look = Some(shared.about_to_look());
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
