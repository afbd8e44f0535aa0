//! Group commit: appends of many callers in few transactions.
//!
//! Callers hand their appends to a bounded [`Queue`](queue::Queue); a few workers take batches from
//! it, each written by the store's [`BatchWriter`] in one transaction. No timer makes batches: while
//! one commits, the next one gathers. So one caller alone waits for nobody, and sixty-four
//! callers share a handful of commits. Callers that were just answered get a turn of the scheduler
//! before the next batch is taken, since many of them append again at once.
//!
//! What a batch costs and how it is written is the store's business, not this file's.
//!
//! # Invariants
//! 1. A stream has at most one append that is ready or in flight, its *holder*; later ones wait
//!    behind it in order of arrival (`queue.rs`). So no batch holds two appends of one stream, no
//!    two batches at a time touch one stream, and no append overtakes an earlier one of its stream.
//! 2. Batches are taken from the ready appends in order of arrival. An append that doesn't fit into
//!    a batch any more is the first of a later one: nothing is passed over for ever.
//! 3. Appends with a condition and those without go in different batches, and at most one batch of
//!    the former is in flight: a second would wait in the database for the first one's locks, on a
//!    connection that plain appends could use. The oldest append that may go decides the kind of the
//!    next batch, so neither kind starves the other. Two conditional appends may share a batch though
//!    one asks about the other's events: the batch has the order of arrival, and the store answers
//!    the second as if the first had been a batch before it. So of a crowd that decides on one state
//!    the first wins, and the rest learn of it with the same commit.
//! 4. Whenever enough is ready for a batch, a worker is awake or about to wake: every step that may
//!    leave so much ends with a notification, unless a worker is about to look anyway, as after
//!    each batch: it wakes others for what it leaves. One append is enough while no batch of its
//!    kind is in flight; beside one that is, it takes half as many, so that a crowd doesn't split
//!    into crumbs of a commit each, or a hundred where other processes append more than this one
//!    (`share.rs`). What is too little waits for that batch's end, which notifies, and five
//!    milliseconds at most (25 among many): a batch may be stuck in the database behind somebody's
//!    lock, and whoever has nothing to do with it must not be.
//! 5. Streams in flight are released by a guard's drop, and a caller whose answer is dropped unsent
//!    learns `OutcomeUnknown`. So neither a panic nor the end of the runtime leaves a caller hanging.
//! 6. An append that counts against the bounds counts until it is answered, so the memory held is
//!    bounded by the limits and not by how slow the store is.
//!
//! The queue is touched under its lock only, and no lock is held across an await.

mod batch;
mod limits;
mod queue;
mod share;
#[cfg(test)]
mod tests;
mod worker;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use self::limits::PipelineLimits;
use self::queue::Waiting;
use self::worker::{Shared, supervise};
use crate::{Append, AppendError, AppendSignal, Appended};

/// What a batch as a whole ran into. What one append ran into is that append's own outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A writer elsewhere interfered with some append of the batch (a unique violation, a
    /// serialisation failure, a deadlock). Nothing was written; each append must be tried alone.
    #[error("another writer interfered with the batch")]
    Interfered {
        /// What the store says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store can't be reached. Nothing was written.
    #[error("the event store is not available")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection was lost during the commit: everything was written or nothing.
    #[error("the event store was lost during the commit")]
    OutcomeUnknown {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Writes batches of appends: what a SQL store puts behind the pipeline.
///
/// # Contract
/// - One batch is one transaction. An append whose expectation doesn't hold MUST cost the others
///   nothing: it gets its own error and the rest commits.
/// - The pipeline never puts two appends to one stream into one batch, nor into two batches that
///   are written at the same time. Other processes know nothing of this, so the writer MUST cope
///   with writers elsewhere.
/// - Conditional appends share a batch with their like. A condition MUST be held against the log
///   and against those appends that stand before it in the batch and are appended.
/// - An append whose event ids are in the log already MUST be recognised (`was_repeated`) before
///   its expectation is checked: the pipeline repeats appends after
///   [`BatchError::OutcomeUnknown`], and what the first try did must not count against the second.
/// - A batch of one MUST NOT return [`BatchError::Interfered`] for a conflict: it returns that
///   append's typed outcome.
#[async_trait]
pub trait BatchWriter: Send + Sync + 'static {
    /// Writes `batch` in one transaction; one outcome per append, in the order of the batch.
    ///
    /// # Errors
    /// [`BatchError`] if the batch as a whole failed.
    async fn write(
        &self,
        batch: &[Append],
    ) -> Result<Vec<Result<Appended, AppendError>>, BatchError>;
}

/// Gathers the appends of a process into batches and writes several batches at a time.
///
/// Every caller gets its own outcome, and one caller's conflict costs nobody else anything. Dropping
/// the pipeline closes it; what was queued is still carried out as long as the runtime lives.
pub struct AppendPipeline {
    shared: Arc<Shared>,
    /// Holds the supervisor, which ends after the last worker.
    tasks: TaskTracker,
}

impl AppendPipeline {
    /// Starts the pipeline in front of `writer`; `signal` is given after every batch that appended
    /// something.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(writer: impl BatchWriter, limits: PipelineLimits, signal: AppendSignal) -> Self {
        let shared = Arc::new(Shared::new(writer, limits, signal));
        let tasks = TaskTracker::new();
        tasks.spawn(supervise(shared.clone()));
        tasks.close();
        Self { shared, tasks }
    }

    /// Appends, and returns once the append is durable or has failed.
    ///
    /// A full pipeline makes the caller wait, in order of arrival.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Closed`] after [`AppendPipeline::close`]. A commit that was
    /// lost is repeated under the same event ids before anybody hears of it; `OutcomeUnknown` means
    /// that the store stayed away.
    ///
    /// # Cancel safety
    /// A caller that is dropped while it waits for room has appended nothing. One that is dropped
    /// later may have appended or not; its room is given back once the append is settled, and an
    /// append that no batch has taken yet is left out.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append.validate()?;
        let room = self.shared.room.take(&append).await.ok_or(AppendError::Closed)?;
        let (reply, outcome) = oneshot::channel();
        self.shared.push(Waiting { append, reply, room })?;
        outcome
            .await
            .unwrap_or_else(|_| Err(AppendError::OutcomeUnknown { source: Box::new(Lost) }))
    }

    /// Takes no more appends, and returns once those that were queued are settled.
    ///
    /// # Cancel safety
    /// The pipeline is closed from the first poll on; call again to wait for the rest.
    pub async fn close(&self) {
        self.shared.close();
        self.tasks.wait().await;
    }
}

impl Drop for AppendPipeline {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// A worker was lost together with the answer.
#[derive(Debug, thiserror::Error)]
#[error("the task that carried the append out was lost")]
struct Lost;
