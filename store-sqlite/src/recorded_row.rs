//! The columns of an event, and an event from a row of them.

use highwater_core::{
    EventId, EventType, GlobalPosition, Metadata, Payload, ReadError, RecordedEvent, StreamId,
    StreamVersion, Tag,
};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
use uuid::Uuid;

use crate::result_code::{SqliteFault, corrupt};

/// What [`recorded`] expects a query to select, in this order, from the table `highwater_events`.
macro_rules! event_columns {
    () => {
        "position, stream_id, version, event_id, type, schema_version, tags, data, metadata, \
         recorded_at_us"
    };
}
pub(crate) use event_columns;

/// A number as a column holds it. What is larger than a column can hold is as good as the largest:
/// no event has it.
pub(crate) fn column_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A limit as SQLite takes it.
pub(crate) fn column_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Reads all rows of a page that was read behind `after`.
pub(crate) fn all_recorded(
    rows: &[SqliteRow],
    after: GlobalPosition,
) -> Result<Vec<RecordedEvent>, ReadError> {
    rows.iter().map(|row| recorded(row, after)).collect()
}

/// Reads an event from a row of [`event_columns`].
fn recorded(row: &SqliteRow, after: GlobalPosition) -> Result<RecordedEvent, ReadError> {
    let position =
        row.try_get::<i64, _>(0).map_err(|error| SqliteFault::from(error).in_read(after))?;
    let position = GlobalPosition::new(position.unsigned_abs());
    envelope(row, position).map_err(|source| corrupt(position, source))
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

fn envelope(row: &SqliteRow, position: GlobalPosition) -> Result<RecordedEvent, Broken> {
    Ok(RecordedEvent {
        id: EventId::from_uuid(Uuid::from_slice(column(row, 3)?)?),
        event_type: EventType::from(column::<&str>(row, 4)?),
        schema_version: column(row, 5)?,
        stream: StreamId::parse(column(row, 1)?)?,
        version: StreamVersion::new(column::<i64>(row, 2)?.try_into()?),
        position,
        recorded_at: Timestamp::from_microsecond(column(row, 9)?)?,
        data: Payload::from_json(column(row, 7)?)?,
        tags: tags(column(row, 6)?)?,
        metadata: metadata(column(row, 8)?)?,
    })
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(
    row: &'r SqliteRow,
    index: usize,
) -> Result<T, sqlx::Error> {
    row.try_get(index)
}

fn tags(json: Option<&str>) -> Result<Vec<Tag>, serde_json::Error> {
    json.map_or(Ok(Vec::new()), serde_json::from_str)
}

fn metadata(json: Option<&str>) -> Result<Metadata, serde_json::Error> {
    json.map_or(Ok(Metadata::default()), serde_json::from_str)
}
