//! Where a record goes that can't be handled: a topic beside its own, with everything that is known.

use std::collections::BTreeMap;
use std::error::Error;

use highwater_core::bus::{HandleError, Topic};
use rdkafka::message::{Header, OwnedHeaders};

use crate::producing::{Outgoing, Producer, Undelivered};
use crate::wire::Record;
use crate::{InvalidKafkaConfig, KafkaConfig};

/// More of an error's text helps nobody and may be more than a broker takes.
const MAX_ERROR_BYTES: usize = 4096;

/// Writes records to dead-letter topics.
pub(crate) struct DeadLetters {
    producer: Producer,
    consumer: String,
}

impl DeadLetters {
    pub(crate) fn new(config: KafkaConfig, consumer: &str) -> Result<Self, InvalidKafkaConfig> {
        Ok(Self { producer: Producer::new(config)?, consumer: consumer.to_owned() })
    }

    /// Sets `record` aside and returns once the broker holds it durably: its key, its value and its
    /// headers as they came, and with them the error, the consumer and where it came from.
    pub(crate) async fn set_aside(
        &self,
        record: &Record,
        error: &HandleError,
    ) -> Result<(), Undelivered> {
        let topic = dead_letter_topic(&record.topic);
        let headers = self.headers(record, error);
        let outgoing = Outgoing {
            topic: &topic,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers,
        };
        self.producer.deliver(&[outgoing]).await
    }

    fn headers(&self, record: &Record, error: &HandleError) -> OwnedHeaders {
        let told = BTreeMap::from([
            ("highwater_error", told(error)),
            ("highwater_consumer", self.consumer.clone()),
            ("highwater_origin_topic", record.topic.clone()),
            ("highwater_origin_partition", record.partition.to_string()),
            ("highwater_origin_offset", record.offset.to_string()),
        ]);
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + told.len());
        for (name, value) in &record.headers {
            headers = headers.insert(Header { key: name, value: value.as_deref() });
        }
        for (name, value) in &told {
            headers = headers.insert(Header { key: name, value: Some(value) });
        }
        headers
    }
}

/// The dead-letter topic that belongs to `topic`.
fn dead_letter_topic(topic: &str) -> Topic {
    Topic::new(format!("{topic}.dead-letter"))
}

/// An error with its causes, no longer than a header should be.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told.truncate(told.floor_char_boundary(MAX_ERROR_BYTES));
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Unreadable;

    #[test]
    fn an_error_is_told_with_its_cause_and_cut_between_characters() {
        let bytes = vec![0xff];
        let error = str::from_utf8(&bytes).map_err(Unreadable::NotText).expect_err("not UTF-8");
        assert!(told(&error).starts_with("the record's value is not UTF-8: "));
        let long = std::io::Error::other("ä".repeat(MAX_ERROR_BYTES));
        assert_eq!(told(&long).len(), MAX_ERROR_BYTES);
    }
}
