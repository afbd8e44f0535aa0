//! Reading events: which statement answers which question, and its rows as events while they arrive.
//!
//! Every page is a range of positions read in order (keyset), so page ten thousand costs what page
//! one does. The caller gives the upper end, which must be a high-water mark.

mod statements;

use std::error::Error;

use deadpool_postgres::Client;
use futures::{TryStreamExt, pin_mut};
use highwater_core::{
    BareEvent, Category, EventId, EventType, GlobalPosition, Query, ReadError, RecordedEvent,
    Selection, StreamId, StreamVersion, TOMBSTONE_TYPE,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

pub(crate) use self::statements::{BARE, BY_ID, Statements, WHOLE};
use crate::batch_arrays::to_i64;
use crate::query_arrays::QueryArrays;
use crate::recorded_row::{Rows, StoredEvent, from_i64};

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

/// Reads the first `limit` events of `span` that `selection` wants.
pub(crate) async fn read_span<E: StoredEvent>(
    client: &Client,
    selection: &Selection,
    span: Span,
    limit: usize,
) -> Result<Vec<E>, ReadError> {
    let statements = E::STATEMENTS;
    let (after, up_to) = (to_i64(span.after.get()), to_i64(span.up_to.get()));
    let page: [&(dyn ToSql + Sync); 3] = [&after, &up_to, &to_limit(limit)];
    let of_log = || Page::of_log(limit.min(FIRST_ROOM)).behind(Behind::Position(span.after));
    match selection {
        Selection::All => {
            let room = limit.min(FIRST_ROOM_OF_ALL).min(span.positions());
            let of_all = Page::of_log(room).behind(Behind::Position(span.after));
            read(client, statements.all, &page, of_all).await
        }
        Selection::Category(category) => {
            let (first, behind) = category_range(category);
            let parameters: [&(dyn ToSql + Sync); 5] = [page[0], page[1], page[2], &first, &behind];
            read(client, statements.category, &parameters, of_log()).await
        }
        Selection::Stream(stream) => {
            let parameters: [&(dyn ToSql + Sync); 4] =
                [page[0], page[1], page[2], &stream.as_str()];
            let of_stream = Page::of_stream(stream, limit);
            let behind = Behind::PositionIn(stream.clone(), span.after);
            read(client, statements.stream, &parameters, of_stream.behind(behind)).await
        }
        Selection::Query(query) => read_query(client, query, page, of_log()).await,
        other => Err(ReadError::Unavailable {
            source: format!("this store can't read by {other:?}").into(),
        }),
    }
}

async fn read_query<E: StoredEvent>(
    client: &Client,
    query: &Query,
    page: [&(dyn ToSql + Sync); 3],
    empty: Page<E>,
) -> Result<Vec<E>, ReadError> {
    let query = QueryArrays::of(query);
    let parameters: [&(dyn ToSql + Sync); 5] =
        [page[0], page[1], page[2], &query.item_types, &query.item_tags];
    read(client, E::STATEMENTS.query, &parameters, empty).await
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
    let mut events: Vec<RecordedEvent> =
        read(client, WHOLE.stream_forward, &parameters, page).await?;
    events.pop_if(|last| is_tombstone(&last.event_type));
    Ok(events)
}

/// It ends a stream, and is none of the events that were appended to it.
fn is_tombstone(event_type: &EventType) -> bool {
    event_type.as_str() == TOMBSTONE_TYPE
}

/// Gives the same events to `visit`, bare and as they arrive; says how many there were.
pub(crate) async fn visit_stream(
    client: &Client,
    stream: &StreamId,
    after: StreamVersion,
    limit: usize,
    visit: &mut (dyn FnMut(BareEvent) + Send),
) -> Result<usize, ReadError> {
    let parameters: [&(dyn ToSql + Sync); 3] =
        [&stream.as_str(), &to_i64(after.get()), &to_limit(limit)];
    let page = Page::of_stream(stream, 1).behind(Behind::Version(stream.clone(), after));
    let mut visited = 0;
    let visit_row = |events: &mut Vec<BareEvent>| {
        for event in events.drain(..).filter(|event| !is_tombstone(&event.event_type)) {
            visited += 1;
            visit(event);
        }
    };
    read_each(client, BARE.stream_forward, &parameters, page, visit_row).await?;
    Ok(visited)
}

/// Finds events by their ids.
pub(crate) async fn find(
    client: &Client,
    ids: &[EventId],
) -> Result<Vec<RecordedEvent>, ReadError> {
    let ids: Vec<Uuid> = ids.iter().map(EventId::as_uuid).collect();
    let page = Page::<RecordedEvent>::of_log(ids.len().min(FIRST_ROOM));
    let mut found = read(client, BY_ID, &[&ids], page).await?;
    found.sort_unstable_by_key(|event| event.position);
    Ok(found)
}

/// A page that is about to be read.
struct Page<E> {
    rows: Rows,
    events: Vec<E>,
    behind: Option<Behind>,
}

/// What a page is read behind.
enum Behind {
    Position(GlobalPosition),
    PositionIn(StreamId, GlobalPosition),
    Version(StreamId, StreamVersion),
}

impl<E: StoredEvent> Page<E> {
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
async fn read<E: StoredEvent>(
    client: &Client,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    page: Page<E>,
) -> Result<Vec<E>, ReadError> {
    read_each(client, sql, parameters, page, |_| {}).await
}

/// The same, with a look at what has been read after each row; what is taken out then is not returned.
async fn read_each<E: StoredEvent>(
    client: &Client,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
    mut page: Page<E>,
    mut look: impl FnMut(&mut Vec<E>),
) -> Result<Vec<E>, ReadError> {
    let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
    let rows =
        client.query_raw(&statement, parameters.iter().copied()).await.map_err(unavailable)?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await.map_err(unavailable)? {
        page.take(&row)?;
        look(&mut page.events);
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
