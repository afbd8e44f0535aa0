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
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::batch_arrays::to_i64;
use crate::query_arrays::QueryArrays;
use crate::recorded_row::{Rows, columns_of_stream, event_columns, from_i64};

/// Room made for a page of the log before its events are known, if no more is sure to be needed. A
/// vector that grows copies all that it holds.
const FIRST_ROOM: usize = 1_024;
/// The same for a stream, which is shorter than a page as a rule: an event takes some 300 bytes, and
/// an allocator asks the system for large pieces.
const FIRST_ROOM_OF_STREAM: usize = 128;
/// Room made for a page of all events, which is full wherever there are positions enough.
const FIRST_ROOM_OF_ALL: usize = 8_192;

/// A range of positions: behind `after`, up to and including `up_to`.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) after: GlobalPosition,
    pub(crate) up_to: GlobalPosition,
}

impl Span {
    /// How many positions it has: no more events than that.
    fn positions(self) -> usize {
        usize::try_from(self.up_to.get().saturating_sub(self.after.get())).unwrap_or(usize::MAX)
    }
}

/// A further row, if events that were asked for may be gone: the mark in place of the position, and no
/// version. It comes on the snapshot of the events: whoever misses one sees the mark. Postgres never
/// runs a part with a LIMIT in parallel, so the parts keep their order.
macro_rules! mark {
    ($columns:literal, $from:literal) => {
        concat!(
            " UNION ALL SELECT m.removed_to, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL",
            $columns,
            " FROM highwater.",
            $from
        )
    };
}
macro_rules! log_mark {
    () => {
        mark!(", NULL", "log_retention m WHERE m.removed_to > $1")
    };
}
/// Of the log as above, or of the stream: its mark in place of the version, and no position.
macro_rules! marks_along_stream {
    () => {
        concat!(
            mark!("", "log_retention m WHERE m.removed_to > $1"),
            " UNION ALL SELECT NULL, m.removed_to, NULL, NULL, NULL, NULL, NULL, NULL, NULL
              FROM highwater.stream_retention m
              WHERE m.stream_id = $4 AND m.removed_position > $1"
        )
    };
}
macro_rules! stream_mark {
    () => {
        mark!("", "stream_retention m WHERE m.stream_id = $1 AND m.removed_to > $2")
    };
}

const ALL: &str = concat!(
    "(SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.position > $1 AND e.position <= $2 ORDER BY e.position LIMIT $3)",
    log_mark!()
);

/// '-' ends a category's name and '.' is the next byte: with collation "C" the range holds the
/// category's streams and no others. A tenant's stream has "@tenant/" in front of its category.
const CATEGORY: &str = concat!(
    "(SELECT ",
    event_columns!(),
    " FROM highwater.events e
     WHERE e.position > $1 AND e.position <= $2
       AND CASE WHEN e.stream_id LIKE '@%'
                THEN substr(e.stream_id, strpos(e.stream_id, '/') + 1) ELSE e.stream_id END >= $4
       AND CASE WHEN e.stream_id LIKE '@%'
                THEN substr(e.stream_id, strpos(e.stream_id, '/') + 1) ELSE e.stream_id END < $5
     ORDER BY e.position LIMIT $3)",
    log_mark!()
);

/// By version, which rises with the position, so that the stream's own index serves. Where `after`
/// is an event of the stream, as behind a full page, the scan starts there.
const STREAM: &str = concat!(
    "(SELECT ",
    columns_of_stream!(),
    " FROM highwater.events e
     WHERE e.stream_id = $4 AND e.position > $1 AND e.position <= $2
       AND e.version > coalesce((SELECT f.version FROM highwater.events f
                                 WHERE f.position = $1 AND f.stream_id = $4), 0)
     ORDER BY e.version LIMIT $3)",
    marks_along_stream!()
);

/// The positions first, each alternative from its own index and no more than a page of it; then
/// the events by their positions.
const QUERY: &str = concat!(
    "(SELECT ",
    event_columns!(),
    " FROM (
         SELECT DISTINCT m.position
         FROM highwater.matching_positions($4, $5, $1, $2, $3) m(position)
         ORDER BY m.position LIMIT $3) m
     JOIN highwater.events e ON e.position = m.position ORDER BY e.position)",
    log_mark!()
);

const STREAM_FORWARD: &str = concat!(
    "(SELECT ",
    columns_of_stream!(),
    " FROM highwater.events e
     WHERE e.stream_id = $1 AND e.version > $2 AND e.type <> 'highwater.tombstone'
     ORDER BY e.version LIMIT $3)",
    stream_mark!()
);

/// Sorted here and not there: asked for an order, the planner might walk the whole log in it.
pub(crate) const BY_ID: &str =
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
    let of_log = || Page::of_log(limit.min(FIRST_ROOM)).behind(Behind::Position(span.after));
    match selection {
        Selection::All => {
            let room = limit.min(FIRST_ROOM_OF_ALL).min(span.positions());
            let of_all = Page::of_log(room).behind(Behind::Position(span.after));
            read(client, ALL, &page, of_all).await
        }
        Selection::Category(category) => {
            let (first, behind) = category_range(category);
            let parameters: [&(dyn ToSql + Sync); 5] = [page[0], page[1], page[2], &first, &behind];
            read(client, CATEGORY, &parameters, of_log()).await
        }
        Selection::Stream(stream) => {
            let parameters: [&(dyn ToSql + Sync); 4] =
                [page[0], page[1], page[2], &stream.as_str()];
            let of_stream = Page::of_stream(stream, limit);
            let behind = Behind::PositionIn(stream.clone(), span.after);
            read(client, STREAM, &parameters, of_stream.behind(behind)).await
        }
        Selection::Query(query) => read_query(client, query, page, of_log()).await,
        other => Err(ReadError::Unavailable {
            source: format!("this store can't read by {other:?}").into(),
        }),
    }
}

async fn read_query(
    client: &Client,
    query: &Query,
    page: [&(dyn ToSql + Sync); 3],
    empty: Page,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let query = QueryArrays::of(query);
    let parameters: [&(dyn ToSql + Sync); 5] =
        [page[0], page[1], page[2], &query.item_types, &query.item_tags];
    read(client, QUERY, &parameters, empty).await
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
    let page = Page::of_stream(stream, limit).behind(Behind::Version(stream.clone(), after));
    read(client, STREAM_FORWARD, &parameters, page).await
}

/// Finds events by their ids.
pub(crate) async fn find(
    client: &Client,
    ids: &[EventId],
) -> Result<Vec<RecordedEvent>, ReadError> {
    let ids: Vec<Uuid> = ids.iter().map(EventId::as_uuid).collect();
    let mut found = read(client, BY_ID, &[&ids], Page::of_log(ids.len().min(FIRST_ROOM))).await?;
    found.sort_unstable_by_key(|event| event.position);
    Ok(found)
}

/// A page that is about to be read.
struct Page {
    rows: Rows,
    events: Vec<RecordedEvent>,
    behind: Option<Behind>,
}

/// What a page is read behind.
enum Behind {
    Position(GlobalPosition),
    PositionIn(StreamId, GlobalPosition),
    Version(StreamId, StreamVersion),
}

impl Page {
    fn of_log(room: usize) -> Self {
        Self { rows: Rows::of_log(), events: Vec::with_capacity(room), behind: None }
    }

    fn of_stream(stream: &StreamId, limit: usize) -> Self {
        let events = Vec::with_capacity(limit.min(FIRST_ROOM_OF_STREAM));
        Self { rows: Rows::of_stream(stream.clone()), events, behind: None }
    }

    fn behind(mut self, behind: Behind) -> Self {
        self.behind = Some(behind);
        self
    }

    fn take(&mut self, row: &Row) -> Result<(), ReadError> {
        // Only what is no event is looked at for being the mark: it costs the events nothing.
        let read = self.rows.decode(row, &mut self.events);
        read.map_err(|error| self.truncated(row).unwrap_or(error))
    }

    fn truncated(&mut self, row: &Row) -> Option<ReadError> {
        let of_stream = |stream, after, mark: i64| {
            let removed_to = StreamVersion::new(mark.unsigned_abs());
            ReadError::StreamTruncated { stream, after, removed_to }
        };
        let marks: (Option<i64>, Option<i64>) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
        Some(match (marks, self.behind.take()?) {
            ((Some(mark), None), Behind::Position(after) | Behind::PositionIn(_, after)) => {
                ReadError::LogTruncated { after, removed_to: from_i64(mark) }
            }
            ((Some(mark), None), Behind::Version(stream, after)) => of_stream(stream, after, mark),
            ((None, Some(mark)), Behind::PositionIn(stream, _)) => {
                of_stream(stream, StreamVersion::EMPTY, mark)
            }
            _ => return None,
        })
    }
}

/// Decodes rows as they arrive, so that a page is held once and not twice.
///
/// Rows, not COPY BINARY: planned anew for each page, COPY was slower at every size of page.
async fn read(
    client: &Client,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    mut page: Page,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
    let rows =
        client.query_raw(&statement, parameters.iter().copied()).await.map_err(unavailable)?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await.map_err(unavailable)? {
        page.take(&row)?;
    }
    Ok(page.events)
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
