//! What is done with a message that arrived.

use std::error::Error;

use async_trait::async_trait;

use super::Message;

/// Why a message was not handled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// Something that the handler needs isn't there just now: the message is tried again, and the
    /// later ones of its partition wait.
    #[error("could not handle the message now")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The message itself is the trouble: trying again would end the same way.
    #[error("the message can't be handled")]
    Poison {
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HandleError {
    /// True if the same message may be handled later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// Something that the handler needs isn't there just now.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { source: source.into() }
    }

    /// The message itself is the trouble.
    pub fn poison(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Poison { source: source.into() }
    }
}

/// Handles messages, one after another within a key.
///
/// # Contract
/// A message arrives at least once and may arrive again, also after it was handled: the handler
/// MUST recognise it by [`Message::id`], in the transaction of its effect. The inboxes of the
/// projections crate do that.
#[async_trait]
pub trait MessageHandler: Send + Sync + 'static {
    /// Names the consumer: its group on Kafka, its rows in an inbox. Never rename it.
    fn consumer(&self) -> &str;

    /// The topics it wants.
    fn topics(&self) -> Vec<super::Topic>;

    /// Handles one message and returns once its effect is durable.
    ///
    /// # Errors
    /// [`HandleError`] says whether to try again.
    async fn handle(&self, message: &Message) -> Result<(), HandleError>;
}
