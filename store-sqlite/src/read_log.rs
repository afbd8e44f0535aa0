//! Reading events: by stream, along the log, by id.
//!
//! Reads never wait for the writer, and stop at the mark of [`high_water_mark`].

use highwater_core::{
    EventId, GlobalPosition, Page, Query, ReadError, RecordedEvent, Selection, StreamId,
    StreamVersion, TOMBSTONE_TYPE,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Sqlite, SqlitePool};

use crate::high_water_mark::high_water_mark;
use crate::query_sql::{Span, groups, select_events};
use crate::recorded_row::{all_recorded, column_limit, column_number, event_columns};
use crate::result_code::SqliteFault;
use crate::retention::{check_along_stream, check_log, check_stream};

/// Reads up to `limit` events of a stream behind a version.
pub(crate) async fn read_stream(
    readers: &SqlitePool,
    stream: &StreamId,
    after: StreamVersion,
    limit: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let mut reader = readers
        .acquire()
        .await
        .map_err(|error| SqliteFault::from(error).in_read(GlobalPosition::START))?;
    let rows = sqlx::query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE stream_id = ? AND version > ? AND type <> ? \
         ORDER BY version LIMIT ?",
    ))
    .bind(stream.as_str())
    .bind(column_number(after.get()))
    .bind(TOMBSTONE_TYPE)
    .bind(column_limit(limit))
    .fetch_all(&mut *reader)
    .await;
    let events = decoded(rows, GlobalPosition::START)?;
    check_stream(&mut *reader, stream, after).await?;
    Ok(events)
}

/// Reads up to `limit` events behind a position that a selection wants.
pub(crate) async fn read_all(
    readers: &SqlitePool,
    selection: &Selection,
    after: GlobalPosition,
    limit: usize,
) -> Result<Page, ReadError> {
    let failed = |error| SqliteFault::from(error).in_read(after);
    let mut reader = readers.acquire().await.map_err(failed)?;
    let head = high_water_mark(&mut *reader).await.map_err(failed)?;
    let span = Span { after, up_to: head, limit };
    let rows = match selection {
        Selection::All => select_all(span).fetch_all(&mut *reader).await,
        Selection::Category(category) => {
            select_category(category.as_str(), span).fetch_all(&mut *reader).await
        }
        Selection::Stream(stream) => select_stream(stream, span).fetch_all(&mut *reader).await,
        Selection::Query(query) => {
            let events = read_query(&mut reader, query, span).await?;
            check_log(&mut *reader, after).await?;
            return Ok(Page::of(events, limit, after, head));
        }
        unknown => return Err(unsupported(unknown)),
    };
    let events = decoded(rows, after)?;
    check_log(&mut *reader, after).await?;
    if let Selection::Stream(stream) = selection {
        check_along_stream(&mut *reader, stream, after).await?;
    }
    Ok(Page::of(events, limit, after, head))
}

type Select<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

fn select_all<'q>(span: Span) -> Select<'q> {
    sqlx::query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
    ))
    .bind(column_number(span.after.get()))
    .bind(column_number(span.up_to.get()))
    .bind(column_limit(span.limit))
}

/// Along the log: the plus sign keeps SQLite from collecting the whole category by the index of
/// streams and sorting it for each page. A tenant's stream has "@tenant/" in front of its category.
fn select_category<'q>(category: &str, span: Span) -> Select<'q> {
    sqlx::query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE position > ? AND position <= ? AND CASE",
        " WHEN substr(stream_id, 1, 1) = '@' THEN substr(stream_id, instr(stream_id, '/') + 1)",
        " ELSE +stream_id END BETWEEN ? AND ? ORDER BY position LIMIT ?",
    ))
    .bind(column_number(span.after.get()))
    .bind(column_number(span.up_to.get()))
    // What begins with "order-" sorts before "order.", the dot being the character after the dash.
    .bind(format!("{category}-"))
    .bind(format!("{category}."))
    .bind(column_limit(span.limit))
}

/// By the index of the stream, in order of version, which is the order of position: the plus signs
/// keep SQLite from walking the whole log.
fn select_stream<'q>(stream: &StreamId, span: Span) -> Select<'q> {
    sqlx::query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE stream_id = ? AND +position > ? AND +position <= ?",
        " ORDER BY version LIMIT ?",
    ))
    .bind(stream.as_str().to_owned())
    .bind(column_number(span.after.get()))
    .bind(column_number(span.up_to.get()))
    .bind(column_limit(span.limit))
}

async fn read_query(
    reader: &mut sqlx::SqliteConnection,
    query: &Query,
    span: Span,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let groups = groups(query);
    let mut events = Vec::new();
    for group in &groups {
        let rows = select_events(group, span).build().fetch_all(&mut *reader).await;
        events.extend(decoded(rows, span.after)?);
    }
    if groups.len() > 1 {
        // Each group gave its first matches; the first of them all are the query's.
        events.sort_unstable_by_key(|event| event.position);
        events.dedup_by_key(|event| event.position);
        events.truncate(span.limit);
    }
    Ok(events)
}

/// Finds events by id, in order of position.
pub(crate) async fn find<'c>(
    connection: impl Executor<'c, Database = Sqlite>,
    ids: impl Iterator<Item = EventId>,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        event_columns!(),
        " FROM highwater_events WHERE event_id IN (SELECT unhex(value) FROM json_each(?)) ORDER BY position",
    ))
    .bind(as_json(ids))
    .fetch_all(connection)
    .await;
    decoded(rows, GlobalPosition::START)
}

/// The ids as one JSON text: one parameter and one statement for however many.
fn as_json(ids: impl Iterator<Item = EventId>) -> String {
    let mut json = String::from("[");
    for (index, id) in ids.enumerate() {
        json.push_str(if index == 0 { "\"" } else { ",\"" });
        json.push_str(id.as_uuid().simple().encode_lower(&mut [0; 32]));
        json.push('"');
    }
    json.push(']');
    json
}

fn decoded(
    rows: Result<Vec<SqliteRow>, sqlx::Error>,
    after: GlobalPosition,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let rows = rows.map_err(|error| SqliteFault::from(error).in_read(after))?;
    all_recorded(&rows, after)
}

/// A selection that core has learnt and this store hasn't.
fn unsupported(selection: &Selection) -> ReadError {
    ReadError::Unavailable { source: format!("SQLite can't select {selection:?}").into() }
}
