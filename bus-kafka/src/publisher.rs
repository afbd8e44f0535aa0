//! Publishes messages to Kafka.
//!
//! It owns what a message becomes on Kafka and what a failure means to the relay. Sessions with the
//! brokers, and the argument why order holds, stand in `producing.rs`.

use async_trait::async_trait;
use highwater_core::bus::{Message, PublishError, Publisher};

use crate::producing::{Outgoing, Producer, Undelivered};
use crate::{InvalidKafkaConfig, KafkaConfig, wire};

/// Sends messages to Kafka: confirmed by all in-sync replicas, a key's messages in order.
///
/// The key of a record is the message's key, its value the event's data, its headers CloudEvents'.
/// Topics that don't exist are created with the number of partitions that the configuration names;
/// where that isn't allowed, they are expected to be there or to be created by the cluster.
///
/// Brokers refuse whole batches: the message that
/// [`PublishError::Refused`](highwater_core::bus::PublishError::Refused) names is the first of the
/// refused batch, and the culprit is that one or one soon behind it in its partition.
pub struct KafkaPublisher {
    producer: Producer,
}

impl KafkaPublisher {
    /// A publisher to the cluster that `config` names.
    ///
    /// It doesn't wait for the cluster: a broker that is down shows at the first publish, which the
    /// relay tries again until the broker is back.
    ///
    /// # Errors
    /// [`InvalidKafkaConfig`] if no broker could make the configuration work.
    pub fn connect(config: KafkaConfig) -> Result<Self, InvalidKafkaConfig> {
        Ok(Self { producer: Producer::new(config)? })
    }
}

#[async_trait]
impl Publisher for KafkaPublisher {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        let records: Vec<_> = messages.iter().map(outgoing).collect();
        let delivered = self.producer.deliver(&records).await;
        delivered.map_err(|undelivered| publish_error(messages, undelivered))
    }
}

fn outgoing(message: &Message) -> Outgoing<'_> {
    Outgoing {
        topic: &message.topic,
        key: Some(message.key().as_bytes()),
        value: Some(message.event.data.as_json().as_bytes()),
        headers: wire::headers(message),
    }
}

fn publish_error(messages: &[Message], undelivered: Undelivered) -> PublishError {
    let source = undelivered.failure.into();
    match messages.get(undelivered.index) {
        Some(message) if undelivered.is_refused => PublishError::Refused {
            message: message.id(),
            topic: message.topic.to_string(),
            source,
        },
        _ => PublishError::Unavailable { source },
    }
}

#[cfg(test)]
mod tests;
