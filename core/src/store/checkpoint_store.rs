//! How far a consumer that lives beside the log has come, and who may say so.

use std::error::Error;

use async_trait::async_trait;

use crate::{GlobalPosition, Payload};

/// Why a checkpoint could not be claimed or moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Somebody claimed the checkpoint later: stop, the work is theirs now. Nothing changed.
    #[error("consumer {consumer:?} was taken over: epoch {epoch} is over")]
    Fenced {
        /// The consumer.
        consumer: String,
        /// The epoch that is over.
        epoch: u64,
    },
    /// The store can't be reached. Nothing is known to have changed.
    #[error("the checkpoint of consumer {consumer:?} can't be reached")]
    Unavailable {
        /// The consumer.
        consumer: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The state beside the checkpoint can't be stored, or what is stored there can't be read: another
    /// try would end the same way. The checkpoint has not moved.
    #[error("the state beside the checkpoint of consumer {consumer:?} is refused")]
    Refused {
        /// The consumer.
        consumer: String,
        /// What is wrong with the state.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl CheckpointError {
    /// True if the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// The right to move one consumer's checkpoint, until somebody else claims it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The consumer.
    pub consumer: String,
    /// Grows with every claim; a write with an older one changes nothing.
    pub epoch: u64,
    /// How far the consumer had come.
    pub position: GlobalPosition,
    /// What the consumer kept beside its position.
    pub state: Option<Payload>,
}

impl Claim {
    /// Checks a state that no store may keep beside the checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Refused`]: it holds personal data that isn't sealed.
    pub fn validate(&self, state: Option<&Payload>) -> Result<(), CheckpointError> {
        state.map_or(Ok(()), Payload::check_sealed).map_err(|problem| CheckpointError::Refused {
            consumer: self.consumer.clone(),
            source: Box::new(problem),
        })
    }
}

/// Who holds a consumer's place and how far they have come, as anybody may see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The latest epoch; 0 if nobody ever claimed the place.
    pub epoch: u64,
    /// Where the checkpoint stands.
    pub position: GlobalPosition,
    /// Grows with every `advance` that succeeds, also with one to where the checkpoint stands: so a
    /// holder with long work says that it lives. Always 0 for read models, which take page by page.
    pub beats: u64,
    /// True if state is kept beside the position, other than JSON's `null`. Always false for read models.
    pub has_state: bool,
}

/// Checkpoints of consumers whose effects lie outside: relays, saga managers.
///
/// A consumer whose effects lie in a database keeps its checkpoint there instead, in the same
/// transaction.
///
/// # Contract
/// - A claim MUST raise the epoch, atomically, and return what was stored.
/// - `advance` MUST change nothing and return `Fenced` if the claim's epoch isn't the latest one.
/// - A checkpoint MUST NOT move backwards: advancing to where it stands or before only stores the
///   state.
/// - `advance` MUST NOT store a state that [`Claim::validate`] refuses.
/// - Every `advance` that succeeds MUST raise [`Standing::beats`], wherever it advances to. One that
///   is refused MUST NOT.
/// - [`Standing::has_state`] MUST be false before a state was given, and after one that is JSON's
///   `null`: so a consumer says that it has nothing left to keep.
/// - `standing` MUST show what the latest claim or `advance` that returned has stored, and change
///   nothing: no epoch ends by it, and no consumer comes into being.
#[async_trait]
pub trait CheckpointStore: Send + Sync {
    /// Takes the consumer over from whoever had it.
    ///
    /// # Errors
    /// [`CheckpointError::Unavailable`], or [`CheckpointError::Refused`] if the stored state can't be
    /// read; the former epoch may have ended.
    ///
    /// # Cancel safety
    /// A claim that was dropped in flight may have ended the former one's epoch; claim again.
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError>;

    /// Moves the checkpoint to `position` and replaces the state kept beside it, if one is given.
    ///
    /// # Errors
    /// [`CheckpointError`].
    ///
    /// # Cancel safety
    /// May have moved it or not; both are whole. Call again.
    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError>;

    /// Looks who holds the consumer's place and how far they have come; `None` if nobody ever
    /// claimed it.
    ///
    /// # Errors
    /// [`CheckpointError::Unavailable`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError>;
}
