//! Reading events: the statements, one per kind of question.
//!
//! Every page is a range of positions read in order (keyset), so page ten thousand costs what page
//! one does. The caller gives the upper end, which must be a high-water mark.

use std::error::Error;

use deadpool_postgres::Client;
use futures::{TryStreamExt, pin_mut};
use highwater_core::{
    Category, EventId, GlobalPosition, Query, ReadError, RecordedEvent, Selection, StreamId,
    StreamVersion,
};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::batch_arrays::to_i64;
use crate::query_arrays::QueryArrays;
use crate::recorded_row::{Rows, event_columns};

/// Room made for a page before its events are known.
const FIRST_ROOM: usize = 1_024;

/// A range of positions: behind `after`, up to and including `up_to`.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: GlobalPosition,
    pub(crate) up_to: GlobalPosition,
}

const ALL: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3"
);

/// '-' ends a category's name and '.' is the next byte: with collation "C" the range holds the
/// category's streams and no others.
const CATEGORY: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.position > $1 AND e.position <= $2 AND e.stream_id >= $4 AND e.stream_id < $5
     ORDER BY e.position LIMIT $3"
);

/// By version, which rises with the position, so that the stream's own index serves. Where `after`
/// is an event of the stream, as behind a full page, the scan starts there.
const STREAM: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.stream_id = $4 AND e.position > $1 AND e.position <= $2
       AND e.version > coalesce((SELECT f.version FROM highwater.events f
                                 WHERE f.position = $1 AND f.stream_id = $4), 0)
     ORDER BY e.version LIMIT $3"
);

/// The positions first, each alternative from its own index and no more than a page of it; then
/// the events by their positions.
const QUERY: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM (
         SELECT DISTINCT m.position
         FROM highwater.matching_positions($4, $5, $1, $2, $3) m(position)
         ORDER BY m.position LIMIT $3) m
     JOIN highwater.events e ON e.position = m.position ORDER BY e.position"
);

const STREAM_FORWARD: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.stream_id = $1 AND e.version > $2 ORDER BY e.version LIMIT $3"
);

/// Sorted here and not there: asked for an order, the planner might walk the whole log in it.
const BY_ID: &str =
    concat!("SELECT ", event_columns!(), " FROM highwater.events e WHERE e.event_id = ANY ($1)");

/// Reads the first `limit` events of `span` that `selection` wants.
pub(crate) async fn read_span(
    client: &Client,
    selection: &Selection,
    span: Span,
    limit: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let (after, up_to) = (to_i64(span.after.get()), to_i64(span.up_to.get()));
    let page: [&(dyn ToSql + Sync); 3] = [&after, &up_to, &to_limit(limit)];
    match selection {
        Selection::All => read(client, ALL, &page, limit).await,
        Selection::Category(category) => {
            let (first, behind) = category_range(category);
            read(client, CATEGORY, &[page[0], page[1], page[2], &first, &behind], limit).await
        }
        Selection::Stream(stream) => {
            read(client, STREAM, &[page[0], page[1], page[2], &stream.as_str()], limit).await
        }
        Selection::Query(query) => read_query(client, query, page, limit).await,
        other => Err(ReadError::Unavailable {
            source: format!("this store can't read by {other:?}").into(),
        }),
    }
}

async fn read_query(
    client: &Client,
    query: &Query,
    page: [&(dyn ToSql + Sync); 3],
    limit: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let query = QueryArrays::of(query);
    let parameters: [&(dyn ToSql + Sync); 5] =
        [page[0], page[1], page[2], &query.item_types, &query.item_tags];
    read(client, QUERY, &parameters, limit).await
}

/// Reads the first `limit` events of a stream above `after`, committed ones above the high-water
/// mark included.
pub(crate) async fn read_stream(
    client: &Client,
    stream: &StreamId,
    after: StreamVersion,
    limit: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let parameters: [&(dyn ToSql + Sync); 3] =
        [&stream.as_str(), &to_i64(after.get()), &to_limit(limit)];
    read(client, STREAM_FORWARD, &parameters, limit).await
}

/// Finds events by their ids.
pub(crate) async fn find(
    client: &Client,
    ids: &[EventId],
) -> Result<Vec<RecordedEvent>, ReadError> {
    let ids: Vec<Uuid> = ids.iter().map(EventId::as_uuid).collect();
    let mut found = read(client, BY_ID, &[&ids], ids.len()).await?;
    found.sort_unstable_by_key(|event| event.position);
    Ok(found)
}

/// Decodes rows as they arrive, so that a page is held once and not twice.
async fn read(
    client: &Client,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    limit: usize,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
    let rows =
        client.query_raw(&statement, parameters.iter().copied()).await.map_err(unavailable)?;
    pin_mut!(rows);
    let mut decoder = Rows::default();
    let mut events = Vec::with_capacity(limit.min(FIRST_ROOM));
    while let Some(row) = rows.try_next().await.map_err(unavailable)? {
        events.push(decoder.decode(&row)?);
    }
    Ok(events)
}

pub(crate) fn unavailable(source: impl Error + Send + Sync + 'static) -> ReadError {
    ReadError::Unavailable { source: Box::new(source) }
}

fn category_range(category: &Category) -> (String, String) {
    (format!("{}-", category.as_str()), format!("{}.", category.as_str()))
}

fn to_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
