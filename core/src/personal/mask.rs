//! Public topics get a mask where personal data was: not even the sealed text leaves the house.

use std::sync::Arc;

use async_trait::async_trait;

use super::marker::SEALED;
use super::node::{NotANode, rewrite};
use crate::Payload;
use crate::bus::{Message, PublishError, Publisher, Topic};

type IsPublic = dyn Fn(&Topic) -> bool + Send + Sync;

/// A publisher that puts a mask where sealed data stands, on the topics that are public.
///
/// Sealed data tells nobody without the keys what it says, but it does tell whose it is and about how
/// long, and it stays with whoever has kept it. What is masked was never given away.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # fn example(kafka: Arc<dyn highwater::bus::Publisher>) -> highwater::MaskedPublisher {
/// use highwater::MaskedPublisher;
///
/// MaskedPublisher::new(kafka).on_topics(|topic| topic.as_str().starts_with("public."))
/// # }
/// ```
pub struct MaskedPublisher {
    publisher: Arc<dyn Publisher>,
    is_public: Box<IsPublic>,
    mask: Payload,
}

impl MaskedPublisher {
    /// Masks what is sealed in every message on its way to `publisher`, with `null`.
    #[must_use]
    pub fn new(publisher: Arc<dyn Publisher>) -> Self {
        let mask = Payload::from_value(&()).unwrap_or_else(|_| unreachable!("() is null in JSON"));
        Self { publisher, is_public: Box::new(|_| true), mask }
    }

    /// Masks only on the topics that `is_public` picks. On all others sealed data stays sealed.
    #[must_use]
    pub fn on_topics(mut self, is_public: impl Fn(&Topic) -> bool + Send + Sync + 'static) -> Self {
        self.is_public = Box::new(is_public);
        self
    }

    /// Puts this where the sealed value was (`null` unless told).
    #[must_use]
    pub fn with_mask(mut self, mask: Payload) -> Self {
        self.mask = mask;
        self
    }

    /// The message with its mask on; `None` if it needs none.
    fn masked(&self, message: &Message) -> Result<Option<Message>, NotANode> {
        if !(self.is_public)(&message.topic) {
            return Ok(None);
        }
        let masked = rewrite::<NotANode>(message.event.data.as_json(), &SEALED, |_, out| {
            out.push_str(self.mask.as_json());
            Ok(())
        });
        let Some(json) = masked? else {
            return Ok(None);
        };
        let mut masked = message.clone();
        masked.event.data = Payload::from_json(json).map_err(|_| NotANode)?;
        Ok(Some(masked))
    }
}

#[async_trait]
impl Publisher for MaskedPublisher {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        let mut masked = Vec::with_capacity(messages.len());
        let mut is_any_masked = false;
        for message in messages {
            let with_mask = self.masked(message).map_err(|error| PublishError::Refused {
                message: message.id(),
                topic: message.topic.to_string(),
                source: Box::new(error),
            })?;
            is_any_masked |= with_mask.is_some();
            masked.push(with_mask);
        }
        if !is_any_masked {
            return self.publisher.publish(messages).await;
        }
        let messages: Vec<_> = masked
            .into_iter()
            .zip(messages)
            .map(|(masked, message)| masked.unwrap_or_else(|| message.clone()))
            .collect();
        self.publisher.publish(&messages).await
    }
}
