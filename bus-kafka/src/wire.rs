//! A message as a Kafka record: CloudEvents' binary mode, the data as the value, the stream as the
//! key.

use std::collections::BTreeMap;

use highwater_core::bus::{InvalidMessage, Message, Topic};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message as _, OwnedHeaders};

/// Why a record holds no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the record has no value")]
    NoValue,
    #[error("the record's value is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    #[error("the record is not a message of this bus")]
    Invalid(#[source] InvalidMessage),
}

/// A record that was received, independent of the client that received it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    pub(crate) fn received(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        }
    }

    /// Reads the record as a message.
    pub(crate) fn message(&self) -> Result<Message, Unreadable> {
        let value = self.value.as_deref().ok_or(Unreadable::NoValue)?;
        let data = str::from_utf8(value).map_err(Unreadable::NotText)?;
        // Brokers and proxies add headers of their own, of any bytes; only ours must be text.
        let headers: BTreeMap<_, _> = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                let value = str::from_utf8(value.as_deref()?).ok()?;
                Some((name.clone(), value.to_owned()))
            })
            .collect();
        Message::from_parts(Topic::new(self.topic.as_str()), &headers, data.to_owned())
            .map_err(Unreadable::Invalid)
    }
}

/// The headers of `message` as librdkafka wants them.
pub(crate) fn headers(message: &Message) -> OwnedHeaders {
    let headers = message.headers();
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, (name, value)| {
        owned.insert(Header { key: name, value: Some(value) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_core::{
        EventId, EventType, GlobalPosition, Metadata, Payload, RecordedEvent, StreamId,
        StreamVersion,
    };

    fn message() -> Message {
        let event = RecordedEvent {
            id: EventId::new(),
            event_type: EventType::from_static("order.placed"),
            schema_version: 1,
            stream: StreamId::new("order", "ä-1").expect("a valid stream"),
            version: StreamVersion::new(1),
            position: GlobalPosition::new(5),
            recorded_at: jiff::Timestamp::now(),
            data: Payload::from_value(&"naïve").expect("JSON"),
            tags: Vec::new(),
            metadata: Metadata::default(),
        };
        Message::new(Topic::new("shop.order.v1"), event)
    }

    fn record(message: &Message) -> Record {
        let headers = message.headers().into_iter();
        Record {
            topic: message.topic.to_string(),
            partition: 0,
            offset: 0,
            key: Some(message.key().as_bytes().to_vec()),
            value: Some(message.event.data.as_json().as_bytes().to_vec()),
            headers: headers.map(|(name, value)| (name, Some(value.into_bytes()))).collect(),
        }
    }

    #[test]
    fn a_message_survives_as_a_record_beside_foreign_headers() {
        let sent = message();
        let mut record = record(&sent);
        record.headers.push(("x-binary".to_owned(), Some(vec![0xff, 0x00])));
        record.headers.push(("x-null".to_owned(), None));
        assert_eq!(record.message().expect("readable"), sent);
    }

    #[test]
    fn a_record_that_is_no_message_says_why() {
        let whole = record(&message());
        let tombstone = Record { value: None, ..whole.clone() };
        assert!(matches!(tombstone.message(), Err(Unreadable::NoValue)));
        let bytes = Record { value: Some(vec![0xff]), ..whole.clone() };
        assert!(matches!(bytes.message(), Err(Unreadable::NotText(_))));
        let foreign = Record { headers: Vec::new(), ..whole };
        assert!(matches!(foreign.message(), Err(Unreadable::Invalid(_))));
    }
}
