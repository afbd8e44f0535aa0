//! A row of `highwater.events` as an event, whole or bare.

use std::error::Error;

use highwater_core::{
    BareEvent, EventId, EventType, GlobalPosition, InvalidPayload, InvalidStreamId, InvalidTag,
    LogEvent, Metadata, Payload, ReadError, RecordedEvent, StreamId, StreamVersion, Tag,
};
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};
use uuid::Uuid;

use crate::read_log::{BARE, Statements, WHOLE};

/// An event as it is read from its row.
pub(crate) trait StoredEvent: LogEvent {
    /// What reads such events.
    const STATEMENTS: &Statements;

    /// Reads a row and puts its event at the end of `events`, where it is built: an event is some
    /// 300 bytes, and handing it over costs as much as reading it.
    fn push_row(rows: &mut Rows, row: &Row, events: &mut Vec<Self>) -> Result<(), BoxedError>;
}

impl StoredEvent for BareEvent {
    const STATEMENTS: &Statements = &BARE;

    fn push_row(rows: &mut Rows, row: &Row, events: &mut Vec<Self>) -> Result<(), BoxedError> {
        events.push(Self {
            position: position(row)?,
            version: version(row)?,
            schema_version: schema_version(row)?,
            event_type: rows.event_type(row.try_get::<_, Text<'_>>(3)?.0),
            data: checked_payload(row.try_get(4)?),
            stream: rows.stream(row, 5)?,
        });
        Ok(())
    }
}

impl StoredEvent for RecordedEvent {
    const STATEMENTS: &Statements = &WHOLE;

    fn push_row(rows: &mut Rows, row: &Row, events: &mut Vec<Self>) -> Result<(), BoxedError> {
        let metadata: Option<JsonText<'_>> = row.try_get(8)?;
        events.push(Self {
            position: position(row)?,
            version: version(row)?,
            schema_version: schema_version(row)?,
            event_type: rows.event_type(row.try_get::<_, Text<'_>>(3)?.0),
            data: checked_payload(row.try_get(4)?),
            recorded_at: row.try_get::<_, Recorded>(5)?.0,
            id: EventId::from_uuid(row.try_get::<_, Uuid>(6)?),
            tags: tags(row.try_get(7)?)?,
            metadata: match metadata {
                None => Metadata::default(),
                Some(JsonText(json)) => serde_json::from_str(json)?,
            },
            stream: rows.stream(row, 9)?,
        });
        Ok(())
    }
}

fn position(row: &Row) -> Result<GlobalPosition, tokio_postgres::Error> {
    Ok(from_i64(row.try_get::<_, Int8>(0)?.0))
}

fn version(row: &Row) -> Result<StreamVersion, tokio_postgres::Error> {
    Ok(StreamVersion::new(row.try_get::<_, Int8>(1)?.0.unsigned_abs()))
}

fn schema_version(row: &Row) -> Result<u32, BoxedError> {
    Ok(u32::try_from(row.try_get::<_, Int8>(2)?.0)?)
}

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
    /// Rows that name their stream.
    pub(crate) fn of_log() -> Self {
        Self { types: Vec::new(), stream: None, is_one_stream: false }
    }

    /// Rows of one stream, which they don't name.
    pub(crate) fn of_stream(stream: StreamId) -> Self {
        Self { types: Vec::new(), stream: Some(stream), is_one_stream: true }
    }

    /// Reads a row and puts its event at the end of `events`.
    pub(crate) fn decode<E: StoredEvent>(
        &mut self,
        row: &Row,
        events: &mut Vec<E>,
    ) -> Result<(), ReadError> {
        E::push_row(self, row, events).map_err(|source| match position(row) {
            Ok(position) => ReadError::Corrupt { position, source },
            Err(_) => ReadError::Corrupt { position: GlobalPosition::START, source },
        })
    }

    fn stream(&mut self, row: &Row, column: usize) -> Result<StreamId, BoxedError> {
        match &self.stream {
            Some(known) if self.is_one_stream => Ok(known.clone()),
            _ => Ok(self.named_stream(row.try_get::<_, Text<'_>>(column)?.0)?),
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
pub(crate) struct Recorded(pub(crate) Timestamp);

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
