//! A message as it travels: an event in CloudEvents' binary mode.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::Topic;
use crate::{
    EventId, EventType, GlobalPosition, Metadata, Payload, RecordedEvent, StreamId, StreamVersion,
};

/// Headers that every message carries.
const REQUIRED: [&str; 7] = [
    "ce_specversion",
    "ce_id",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_streamversion",
    "ce_position",
];

/// Why headers and data make no message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// A header is missing.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header holds what it can't.
    #[error("header {header} has a value that it can't have: {problem}")]
    Header {
        /// Which one.
        header: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The data isn't JSON.
    #[error("the data is not valid JSON")]
    Data(#[source] crate::InvalidPayload),
}

/// An event on the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it goes.
    pub topic: Topic,
    /// The event. Its id is the message's id, the same however often it is sent; its stream is the
    /// key within which order is kept.
    pub event: RecordedEvent,
}

impl Message {
    /// The message that carries `event` to `topic`.
    #[must_use]
    pub fn new(topic: Topic, event: RecordedEvent) -> Self {
        Self { topic, event }
    }

    /// Identifies the message: a repetition has the same id.
    #[must_use]
    pub fn id(&self) -> EventId {
        self.event.id
    }

    /// What order is kept within: the event's stream, its tenant included, so that two tenants' keys
    /// are never one.
    #[must_use]
    pub fn key(&self) -> &str {
        self.event.stream.as_str()
    }

    /// The headers, in the names of CloudEvents' binding for Kafka, and `traceparent`.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let event = &self.event;
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), event.id.to_string()),
            ("ce_source".to_owned(), source(&event.stream)),
            ("ce_type".to_owned(), event.event_type.to_string()),
            ("ce_time".to_owned(), event.recorded_at.to_string()),
            ("ce_subject".to_owned(), event.stream.to_string()),
            ("ce_streamversion".to_owned(), event.version.to_string()),
            ("ce_position".to_owned(), event.position.to_string()),
            ("ce_schemaversion".to_owned(), event.schema_version.to_string()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(metadata_headers(&event.metadata));
        // Where the event belongs is said by its stream; the metadata says what somebody knew.
        let tenant = event.stream.tenant().map(|tenant| tenant.to_string());
        if let Some(tenant) = tenant.or_else(|| event.metadata.tenant.clone()) {
            headers.push(("ce_tenant".to_owned(), tenant));
        }
        headers
    }

    /// Reads a message back from its headers and data.
    ///
    /// # Errors
    /// [`InvalidMessage`] names the header that is missing or wrong.
    pub fn from_parts(
        topic: Topic,
        headers: &BTreeMap<String, String>,
        data: String,
    ) -> Result<Self, InvalidMessage> {
        for required in REQUIRED {
            if !headers.contains_key(required) {
                return Err(InvalidMessage::Missing(required));
            }
        }
        if headers["ce_specversion"] != "1.0" {
            return Err(InvalidMessage::Header {
                header: "ce_specversion",
                problem: "only 1.0 is known".to_owned(),
            });
        }
        let event = RecordedEvent {
            id: parse(headers, "ce_id")?,
            event_type: EventType::from(headers["ce_type"].as_str()),
            schema_version: match headers.contains_key("ce_schemaversion") {
                true => parse(headers, "ce_schemaversion")?,
                false => 1,
            },
            stream: stream_of(headers)?,
            version: StreamVersion::new(parse(headers, "ce_streamversion")?),
            position: GlobalPosition::new(parse(headers, "ce_position")?),
            recorded_at: parse::<Timestamp>(headers, "ce_time")?,
            data: Payload::from_json(data).map_err(InvalidMessage::Data)?,
            tags: Vec::new(),
            metadata: metadata_of(headers)?,
        };
        Ok(Self { topic, event })
    }
}

/// Where an event comes from: `/category` or `/@tenant/category`.
fn source(stream: &StreamId) -> String {
    match stream.tenant() {
        Some(tenant) => format!("/@{tenant}/{}", stream.category()),
        None => format!("/{}", stream.category()),
    }
}

fn metadata_headers(metadata: &Metadata) -> impl Iterator<Item = (String, String)> {
    [
        ("traceparent", metadata.traceparent.clone()),
        ("ce_correlationid", metadata.correlation.map(|id| id.to_string())),
        ("ce_causationid", metadata.causation.map(|id| id.to_string())),
        ("ce_commandid", metadata.command.map(|id| id.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// The stream; `ce_tenant` must not name another tenant than it does.
fn stream_of(headers: &BTreeMap<String, String>) -> Result<StreamId, InvalidMessage> {
    let stream = parse::<StreamId>(headers, "ce_subject")?;
    match (stream.tenant(), headers.get("ce_tenant")) {
        (Some(tenant), Some(named)) if tenant.as_str() != named => Err(InvalidMessage::Header {
            header: "ce_tenant",
            problem: format!("the subject is of tenant {tenant}"),
        }),
        _ => Ok(stream),
    }
}

fn metadata_of(headers: &BTreeMap<String, String>) -> Result<Metadata, InvalidMessage> {
    let present = |name: &str| headers.contains_key(name);
    Ok(Metadata {
        correlation: present("ce_correlationid")
            .then(|| parse(headers, "ce_correlationid"))
            .transpose()?,
        causation: present("ce_causationid")
            .then(|| parse(headers, "ce_causationid"))
            .transpose()?,
        command: present("ce_commandid").then(|| parse(headers, "ce_commandid")).transpose()?,
        tenant: headers.get("ce_tenant").cloned(),
        traceparent: headers.get("traceparent").cloned(),
        ..Metadata::default()
    })
}

fn parse<T>(headers: &BTreeMap<String, String>, name: &'static str) -> Result<T, InvalidMessage>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    let value = headers.get(name).ok_or(InvalidMessage::Missing(name))?;
    value.parse().map_err(|problem: T::Err| InvalidMessage::Header {
        header: name,
        problem: problem.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CorrelationId, NewEvent};

    fn message() -> Message {
        let event = NewEvent::new("order.placed", &7).unwrap();
        let event = RecordedEvent {
            id: event.id,
            event_type: event.event_type,
            schema_version: 3,
            stream: StreamId::new("order", "ä-1").unwrap(),
            version: StreamVersion::new(2),
            position: GlobalPosition::new(9),
            recorded_at: Timestamp::now(),
            data: event.data,
            tags: Vec::new(),
            metadata: Metadata::default().with_correlation(CorrelationId::new()),
        };
        Message::new(Topic::new("shop.order.v1"), event)
    }

    #[test]
    fn a_message_survives_its_journey() {
        let sent = message();
        let headers = sent.headers().into_iter().collect();
        let data = sent.event.data.as_json().to_owned();
        let arrived = Message::from_parts(sent.topic.clone(), &headers, data).unwrap();
        assert_eq!(arrived, sent);
    }

    #[test]
    fn messages_of_two_tenants_have_keys_of_their_own_and_say_whose_they_are() {
        let of = |tenant: &str| {
            let mut message = message();
            let tenant = crate::TenantId::new(tenant).unwrap();
            message.event.stream = message.event.stream.in_tenant(&tenant);
            message
        };
        let (acme, bolt) = (of("acme"), of("bolt"));
        assert_eq!((acme.key(), bolt.key()), ("@acme/order-ä-1", "@bolt/order-ä-1"));
        let mut headers: BTreeMap<_, _> = acme.headers().into_iter().collect();
        assert_eq!(headers["ce_tenant"], "acme");
        assert_eq!(headers["ce_source"], "/@acme/order");
        let arrive =
            |headers: &BTreeMap<_, _>| Message::from_parts(acme.topic.clone(), headers, "7".into());
        let arrived = arrive(&headers).unwrap().event;
        assert_eq!(arrived.stream, acme.event.stream);
        assert_eq!(arrived.metadata.tenant.as_deref(), Some("acme"));
        headers.insert("ce_tenant".into(), "bolt".into());
        let error = arrive(&headers).unwrap_err();
        assert!(matches!(error, InvalidMessage::Header { header: "ce_tenant", .. }), "{error}");
    }

    #[test]
    fn a_missing_or_broken_header_is_named() {
        let sent = message();
        let whole: BTreeMap<_, _> = sent.headers().into_iter().collect();
        for header in REQUIRED {
            let mut headers = whole.clone();
            headers.remove(header);
            let error = Message::from_parts(sent.topic.clone(), &headers, "7".into()).unwrap_err();
            assert!(matches!(error, InvalidMessage::Missing(name) if name == header));
        }
        let mut headers = whole.clone();
        headers.insert("ce_position".into(), "-3".into());
        let error = Message::from_parts(sent.topic.clone(), &headers, "7".into()).unwrap_err();
        assert!(matches!(error, InvalidMessage::Header { header: "ce_position", .. }));
        let error = Message::from_parts(sent.topic.clone(), &whole, "{".into()).unwrap_err();
        assert!(matches!(error, InvalidMessage::Data(_)));
    }
}
