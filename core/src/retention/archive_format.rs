//! The lines of an archive file, and its name.
//!
//! A file is gzip over JSON Lines, so that `zcat` and any language read it in twenty years:
//!
//! ```text
//! {"highwater_archive":1,"scope":{"after":0,"to":5000}}
//! {"id":"…","type":"order.placed","schema_version":1,"stream":"order-1","version":1,"position":1,…}
//! …
//! {"end":{"events":4711,"sha256":"…"}}
//! ```
//!
//! The last line counts and hashes all before it: a file that was cut short has none, a changed one
//! another hash. The count stands at the end and not at the head, because the log is streamed and
//! nobody knows it earlier.
//!
//! Data is kept as the text that the log holds. Text that spans lines would end a line of the file:
//! it goes into `data_text` as a string instead, and comes back byte for byte as well.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ArchiveScope;
use crate::{
    EventId, EventType, GlobalPosition, InvalidPayload, Metadata, Payload, RecordedEvent, StreamId,
    StreamVersion, Tag,
};

/// The format that this program writes, and the only one so far.
pub(super) const FORMAT: u32 = 1;
/// The longest line that can be whole: the largest append is 8 MiB of data, which escaping may
/// lengthen six times; the envelope has room beside it. A longer one is damage, not an event.
pub(super) const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) highwater_archive: u32,
    pub(super) scope: ArchiveScope,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Trailer {
    pub(super) end: End,
}

#[derive(Serialize, Deserialize, PartialEq)]
pub(super) struct End {
    pub(super) events: u64,
    pub(super) sha256: String,
}

/// What the last line starts with, and no other.
pub(super) const TRAILER_START: &[u8] = b"{\"end\":";

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    id: EventId,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    schema_version: u32,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    version: StreamVersion,
    position: GlobalPosition,
    recorded_at: Timestamp,
    #[serde(default, skip_serializing_if = "no_tags")]
    tags: Cow<'a, [Tag]>,
    #[serde(default, skip_serializing_if = "no_metadata")]
    metadata: Cow<'a, Metadata>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, Payload>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data_text: Option<Cow<'a, str>>,
}

fn no_tags(tags: &[Tag]) -> bool {
    tags.is_empty()
}

fn no_metadata(metadata: &Metadata) -> bool {
    metadata.is_empty()
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidLine {
    #[error("it isn't the JSON of an event")]
    Json(#[source] serde_json::Error),
    #[error("its stream has no valid name")]
    Stream(#[source] crate::InvalidStreamId),
    #[error("its data is no JSON")]
    Data(#[source] InvalidPayload),
    #[error("it has no data, or data twice")]
    NotOneData,
}

/// An event as a line, with the line's end.
pub(super) fn to_line(event: &RecordedEvent) -> Result<Vec<u8>, serde_json::Error> {
    let text = event.data.as_json();
    let spans_lines = text.contains('\n');
    let line = Line {
        id: event.id,
        event_type: event.event_type.as_str().into(),
        schema_version: event.schema_version,
        stream: event.stream.as_str().into(),
        version: event.version,
        position: event.position,
        recorded_at: event.recorded_at,
        tags: Cow::Borrowed(&event.tags),
        metadata: Cow::Borrowed(&event.metadata),
        // A JSON null can't be told from no data at all: it goes as text, too.
        data: (!spans_lines && text != "null").then_some(Cow::Borrowed(&event.data)),
        data_text: (spans_lines || text == "null").then_some(text.into()),
    };
    with_end(&line)
}

/// Any value as a line, with the line's end.
pub(super) fn with_end(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The event that a line holds.
pub(super) fn from_line(line: &[u8]) -> Result<RecordedEvent, InvalidLine> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(InvalidLine::Json)?;
    let data = match (line.data, line.data_text) {
        (Some(data), None) => data.into_owned(),
        (None, Some(text)) => Payload::from_json(text.into_owned()).map_err(InvalidLine::Data)?,
        _ => return Err(InvalidLine::NotOneData),
    };
    Ok(RecordedEvent {
        id: line.id,
        event_type: EventType::from(&*line.event_type),
        schema_version: line.schema_version,
        stream: StreamId::parse(&line.stream).map_err(InvalidLine::Stream)?,
        version: line.version,
        position: line.position,
        recorded_at: line.recorded_at,
        data,
        tags: line.tags.into_owned(),
        metadata: line.metadata.into_owned(),
    })
}

/// What the names of a scope's files begin with. A stream's name may hold what a file's can't, so its
/// hash stands for it; the name itself is in the header.
pub(super) fn name_prefix(scope: &ArchiveScope) -> String {
    match scope.stream() {
        None => "log-".to_owned(),
        Some(stream) => {
            let digest = Sha256::digest(stream.as_str().as_bytes());
            format!("stream-{}-", &hex(&digest)[..32])
        }
    }
}

const NAME_END: &str = ".jsonl.gz";

/// The name of the file that holds a scope whole.
pub(super) fn file_name(scope: &ArchiveScope) -> String {
    let first = scope.after() + 1;
    format!("{}{first:020}-{:020}{NAME_END}", name_prefix(scope), scope.to())
}

/// The span that a file's name tells of, if it is one with this prefix: behind the first number, up
/// to the second.
pub(super) fn span_of_name(name: &str, prefix: &str) -> Option<(u64, u64)> {
    let (first, to) = name.strip_prefix(prefix)?.strip_suffix(NAME_END)?.split_once('-')?;
    let (first, to) = (first.parse::<u64>().ok()?, to.parse::<u64>().ok()?);
    (first > 0 && to >= first).then(|| (first - 1, to))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String doesn't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Any JSON text, also such as no serialiser writes: spaces, line ends, numbers as they please.
    fn json_text() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just("{\n  \"a\": 1.50,\r\n\t\"b\": [ ]\n}".to_owned()),
            Just("1e400".to_owned()),
            Just("123456789012345678901234567890".to_owned()),
            Just("{\"a\":1,\"a\":2}".to_owned()),
            Just("\"\\ud83e\\udd80 \u{2028} \\u0000\"".to_owned()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ]
    }

    fn metadata() -> impl Strategy<Value = Metadata> {
        (
            proptest::option::of(any::<u128>()),
            proptest::option::of(any::<String>()),
            proptest::option::of(any::<String>()),
            proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3),
        )
            .prop_map(|(id, actor, tenant, headers)| Metadata {
                correlation: id.map(Uuid::from_u128).map(crate::CorrelationId::from_uuid),
                causation: id.map(Uuid::from_u128).map(EventId::from_uuid),
                command: id.map(Uuid::from_u128).map(crate::CommandId::from_uuid),
                traceparent: actor.clone(),
                actor,
                tenant,
                headers,
            })
    }

    prop_compose! {
        fn recorded()(
            numbers in any::<(u128, u32, u64, u64)>(),
            second in -377_705_023_201_i64..253_402_207_200,
            nanosecond in 0..1_000_000_000_i32,
            event_type in any::<String>(),
            key in "[^\\p{Cc}]{1,40}",
            tags in proptest::collection::vec("[^\\p{Cc}:]{1,9}:[^\\p{Cc}]{1,9}", 0..4),
            metadata in metadata(),
            data in json_text(),
        ) -> RecordedEvent {
            RecordedEvent {
                id: EventId::from_uuid(Uuid::from_u128(numbers.0)),
                event_type: EventType::from(event_type.as_str()),
                schema_version: numbers.1,
                stream: StreamId::new("any", key).unwrap(),
                version: StreamVersion::new(numbers.2),
                position: GlobalPosition::new(numbers.3),
                recorded_at: Timestamp::new(second, nanosecond).unwrap(),
                data: Payload::from_json(data).unwrap(),
                tags: tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
                metadata,
            }
        }
    }

    proptest! {
        #[test]
        fn every_field_of_any_event_survives_on_one_line(event in recorded()) {
            let line = to_line(&event).unwrap();
            let newlines = line.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(newlines, 1);
            prop_assert!(!line.starts_with(TRAILER_START));
            prop_assert_eq!(from_line(&line).unwrap(), event);
        }
    }

    #[test]
    fn a_name_tells_its_span_and_nothing_else_does() {
        let scope = ArchiveScope::of_log(GlobalPosition::START, GlobalPosition::new(50));
        assert_eq!(span_of_name(&file_name(&scope), "log-"), Some((0, 50)));
        for other in ["log-x-50.jsonl.gz", "log-1-50.jsonl.gz.partial", "log-0-5.jsonl.gz", "log-"]
        {
            assert_eq!(span_of_name(other, "log-"), None, "{other}");
        }
        let hostile = StreamId::new("a", "../../etc/passwd \"🦀").unwrap();
        let scope = ArchiveScope::of_stream(hostile, StreamVersion::EMPTY, StreamVersion::new(5));
        let name = file_name(&scope);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)));
    }
}
