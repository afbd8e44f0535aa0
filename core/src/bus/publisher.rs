//! Where messages go: the contract of every broker.

use std::error::Error;

use async_trait::async_trait;

use super::Message;

/// Why messages may not have arrived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The broker can't be reached or did not confirm. Any of the messages may have arrived;
    /// publishing them again in the same order is safe.
    #[error("the broker did not confirm the messages")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The broker refuses a message itself (too large, topic not allowed): a retry ends the same.
    #[error("the broker refuses message {message} for topic {topic}")]
    Refused {
        /// The message's id.
        message: crate::EventId,
        /// Where it was to go.
        topic: String,
        /// What the broker says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl PublishError {
    /// True if the same messages may be taken later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Sends messages to a broker.
///
/// # Contract
/// - `publish` MUST return `Ok` only once the broker holds every message durably.
/// - Messages of one topic and key MUST arrive in the order given, within a call and from one call
///   to the next. A failed call may have delivered some messages; the caller repeats the whole
///   call, so a key's order with repetitions taken out stays that of the log.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Sends `messages` and waits until the broker has confirmed each.
    ///
    /// # Errors
    /// [`PublishError`].
    ///
    /// # Cancel safety
    /// Messages of a dropped call may arrive or not; publish them again.
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError>;
}
