//! A row of `highwater.events` as a recorded event.

use std::error::Error;

use highwater_core::{
    EventId, EventType, GlobalPosition, InvalidPayload, InvalidStreamId, InvalidTag, Metadata,
    Payload, ReadError, RecordedEvent, StreamId, StreamVersion, Tag,
};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

/// What a statement that reads one stream selects, in the order in which [`Rows::decode`] reads it.
/// Everybody knows the stream, and each column of a row costs the server some 50 ns.
macro_rules! columns_of_stream {
    () => {
        "e.position, e.version, e.recorded_at, e.event_id, e.schema_version, e.type, e.tags, \
         e.data, e.metadata"
    };
}
pub(crate) use columns_of_stream;

/// What every other statement that reads events selects: the stream in addition.
macro_rules! event_columns {
    () => {
        concat!($crate::recorded_row::columns_of_stream!(), ", e.stream_id")
    };
}
pub(crate) use event_columns;

/// How many event types of a page are kept: more would cost more to search than to make anew.
const KEPT_TYPES: usize = 64;

/// Decodes the rows of one page. Events of one type share its name, and neighbours of one stream
/// share the stream's: it is checked and copied once for all of them.
pub(crate) struct Rows {
    types: Vec<EventType>,
    stream: Option<StreamId>,
    is_one_stream: bool,
}

impl Rows {
    /// Rows of [`event_columns`].
    pub(crate) fn of_log() -> Self {
        Self { types: Vec::new(), stream: None, is_one_stream: false }
    }

    /// Rows of [`columns_of_stream`].
    pub(crate) fn of_stream(stream: StreamId) -> Self {
        Self { types: Vec::new(), stream: Some(stream), is_one_stream: true }
    }

    /// Reads a row and puts its event at the end of `events`, where it is built: an event is some
    /// 300 bytes, and handing it over costs as much as reading it.
    pub(crate) fn decode(
        &mut self,
        row: &Row,
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), ReadError> {
        let Int8(position) = row.try_get(0).map_err(|error| unreadable(0, error))?;
        self.decode_at(position, row, events)
            .map_err(|source| ReadError::Corrupt { position: from_i64(position), source })
    }

    fn decode_at(
        &mut self,
        position: i64,
        row: &Row,
        events: &mut Vec<RecordedEvent>,
    ) -> Result<(), BoxedError> {
        let metadata: Option<JsonText<'_>> = row.try_get(8)?;
        events.push(RecordedEvent {
            position: from_i64(position),
            version: StreamVersion::new(row.try_get::<_, Int8>(1)?.0.unsigned_abs()),
            recorded_at: row.try_get::<_, Recorded>(2)?.0,
            id: EventId::from_uuid(row.try_get::<_, Uuid>(3)?),
            schema_version: u32::try_from(row.try_get::<_, Int8>(4)?.0)?,
            event_type: self.event_type(row.try_get::<_, Text<'_>>(5)?.0),
            tags: tags(row.try_get(6)?)?,
            data: checked_payload(row.try_get(7)?),
            metadata: match metadata {
                None => Metadata::default(),
                Some(JsonText(json)) => serde_json::from_str(json)?,
            },
            stream: self.stream(row)?,
        });
        Ok(())
    }

    fn stream(&mut self, row: &Row) -> Result<StreamId, BoxedError> {
        match &self.stream {
            Some(known) if self.is_one_stream => Ok(known.clone()),
            _ => Ok(self.named_stream(row.try_get::<_, Text<'_>>(9)?.0)?),
        }
    }

    fn named_stream(&mut self, name: &str) -> Result<StreamId, InvalidStreamId> {
        if let Some(known) = &self.stream
            && known.as_str() == name
        {
            return Ok(known.clone());
        }
        let new = StreamId::parse(name)?;
        self.stream = Some(new.clone());
        Ok(new)
    }

    fn event_type(&mut self, name: &str) -> EventType {
        if let Some(known) = self.types.iter().find(|known| known.as_str() == name) {
            return known.clone();
        }
        let new = EventType::from(name);
        if self.types.len() < KEPT_TYPES {
            self.types.push(new.clone());
        }
        new
    }
}

type BoxedError = Box<dyn Error + Send + Sync>;

/// Positions and versions are checked to be positive when they are written.
pub(crate) fn from_i64(position: i64) -> GlobalPosition {
    GlobalPosition::new(position.unsigned_abs())
}

fn unreadable(position: i64, error: tokio_postgres::Error) -> ReadError {
    ReadError::Corrupt { position: from_i64(position), source: Box::new(error) }
}

fn tags(stored: Option<Vec<&str>>) -> Result<Vec<Tag>, InvalidTag> {
    stored.unwrap_or_default().into_iter().map(Tag::parse).collect()
}

/// The data of an event, which the type of its column has checked.
fn checked_payload(JsonText(json): JsonText<'_>) -> Payload {
    Payload::from_checked_json(json)
}

pub(crate) fn payload(JsonText(json): JsonText<'_>) -> Result<Payload, InvalidPayload> {
    Payload::from_json(json.to_owned())
}

/// The text of a `json` column, without a copy.
pub(crate) struct JsonText<'a>(pub(crate) &'a str);

impl<'a> FromSql<'a> for JsonText<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}

/// A `bigint`, read at once; the driver's own way takes it byte by byte through a cursor.
struct Int8(i64);

impl FromSql<'_> for Int8 {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, BoxedError> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::INT8
    }
}

/// A `text`; the driver's own `&str` looks at the type's name for each value, for extensions' sake.
struct Text<'a>(&'a str);

impl<'a> FromSql<'a> for Text<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(Self(std::str::from_utf8(raw)?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT
    }
}

/// Microseconds since 2000-01-01, read without calendar arithmetic.
struct Recorded(Timestamp);

const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

impl FromSql<'_> for Recorded {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, BoxedError> {
        let since_2000 = i64::from_be_bytes(raw.try_into()?);
        let since_1970 = since_2000.checked_add(POSTGRES_EPOCH_US).ok_or("the time is infinite")?;
        Ok(Self(Timestamp::from_microsecond(since_1970)?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}
