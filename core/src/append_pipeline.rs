//! Group commit: appends of many callers in few transactions.

use std::error::Error;

use async_trait::async_trait;

use crate::{Append, AppendError, Appended};

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
///   are written at the same time.
/// - An append whose event ids are in the log already MUST be recognised (`was_repeated`): the
///   pipeline repeats appends after [`BatchError::OutcomeUnknown`].
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
pub struct AppendPipeline; pub struct PipelineLimits;
