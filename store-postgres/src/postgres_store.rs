//! The store: the pieces of this crate behind core's traits.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::{Client, Pool};
use futures::future::try_join;
use highwater_core::{
    Append, AppendError, AppendPipeline, AppendSignal, Appended, BareEvent, EventId, EventStore,
    GlobalPosition, LogEvent, Page, ReadError, RecordedEvent, Selection, SnapshotStore, StreamId,
    StreamVersion,
};

use crate::batch_writer::PostgresWriter;
use crate::connect::{Target, first_connection};
use crate::high_water_mark::KnownMark;
use crate::migrator::migrate;
use crate::read_log::{self, Span, unavailable};
use crate::recorded_row::StoredEvent;
use crate::roll_over::LiveEnd;
use crate::{ConnectError, PostgresOptions};

/// How many positions one statement looks through for a selection that no index serves. A rare
/// category in a long log is found in several short statements, and the reader's position moves on
/// between them.
const SCAN_POSITIONS: u64 = 100_000;

/// The log in PostgreSQL.
///
/// It keeps every promise of [`EventStore`], for any number of processes at once.
pub struct PostgresStore {
    pipeline: AppendPipeline,
    pub(crate) reads: Pool,
    pub(crate) end: Arc<LiveEnd>,
    signal: AppendSignal,
    known_mark: KnownMark,
    pub(crate) keeps_detached: bool,
    address: String,
}

impl PostgresStore {
    /// Connects, brings the schema `highwater` up to date and starts the append pipeline.
    ///
    /// A server that isn't there yet is waited for, 30 seconds at most.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Migrations are applied in one transaction: dropping the future leaves all of them or none.
    pub async fn connect(url: &str) -> Result<Arc<Self>, ConnectError> {
        Self::connect_with(url, PostgresOptions::new()).await
    }

    /// Like [`PostgresStore::connect`], with options.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`].
    ///
    /// # Cancel safety
    /// As [`PostgresStore::connect`].
    pub async fn connect_with(
        url: &str,
        options: PostgresOptions,
    ) -> Result<Arc<Self>, ConnectError> {
        let target = Target::parse(url, &options)?;
        let reads = target.pool(options.read_connections);
        let mut client =
            first_connection(&reads, &target.address, options.connect_patience).await?;
        migrate(&mut client).await?;
        drop(client);
        let signal = AppendSignal::new();
        let writes = target.pool(options.pipeline.batches_in_flight());
        let end = Arc::new(LiveEnd::of(writes.clone()));
        let writer = PostgresWriter::new(writes, end.clone(), options.statement_timeout);
        Ok(Arc::new(Self {
            pipeline: AppendPipeline::start(writer, options.pipeline, signal.clone()),
            reads,
            end,
            signal,
            known_mark: KnownMark::new(options.held_mark_warning),
            keeps_detached: options.keeps_detached,
            address: target.address,
        }))
    }

    async fn client(&self) -> Result<Client, ReadError> {
        self.reads.get().await.map_err(unavailable)
    }

    async fn read_page<E: StoredEvent>(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<E>, ReadError> {
        let mut page = Page { events: Vec::new(), read_to: after, is_last: false };
        if limit == 0 {
            return Ok(page);
        }
        let client = self.client().await?;
        if let Selection::Query(_) = selection {
            return self.read_all_at_once(&client, selection, after, limit).await;
        }
        let mut mark = self.known_mark.get();
        let mut is_fresh = false;
        loop {
            if page.read_to >= mark {
                if !is_fresh {
                    mark = self.known_mark.fetch(&client).await?;
                    is_fresh = true;
                }
                if page.read_to >= mark {
                    page.is_last = true;
                    return Ok(page);
                }
            }
            let span = Span { after: page.read_to, up_to: scan_end(selection, page.read_to, mark) };
            let wanted = limit - page.events.len();
            let found = read_log::read_span(&client, selection, span, wanted).await?;
            let is_full = found.len() >= wanted;
            if page.events.is_empty() {
                page.events = found; // nearly always, and without a copy
            } else {
                page.events.extend(found);
            }
            if is_full {
                page.read_to = page.events.last().map_or(span.up_to, LogEvent::position);
                return Ok(page);
            }
            page.read_to = span.up_to;
            if span.up_to < mark {
                // The log goes on, but this reader has come a fair way.
                return Ok(page);
            }
        }
    }

    /// Reads a page and the mark that ends it in one round trip, for decisions: mark first, then
    /// whatever matches, of which those events are dropped that stand above the mark.
    async fn read_all_at_once<E: StoredEvent>(
        &self,
        client: &Client,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<E>, ReadError> {
        self.known_mark.prepare(client).await?;
        let behind = Span { after, up_to: GlobalPosition::new(u64::MAX) };
        // Polled in this order, and what is polled first is sent first.
        let (mark, mut events) = try_join(
            self.known_mark.fetch(client),
            read_log::read_span::<E>(client, selection, behind, limit),
        )
        .await?;
        let is_full = events.len() >= limit;
        let found = events.len();
        events.retain(|event| event.position() <= mark);
        Ok(match events.last() {
            Some(last) if is_full && events.len() == found => {
                Page { read_to: last.position(), is_last: false, events }
            }
            _ => Page { events, read_to: mark.max(after), is_last: true },
        })
    }
}

/// Names the server, never the password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("address", &self.address).finish_non_exhaustive()
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.pipeline.append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        read_log::read_stream(&self.client().await?, stream, after, limit).await
    }

    async fn visit_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(BareEvent) + Send),
    ) -> Result<usize, ReadError> {
        read_log::visit_stream(&self.client().await?, stream, after, limit, visit).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.read_page(selection, after, limit).await
    }

    async fn read_all_bare(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<BareEvent>, ReadError> {
        self.read_page(selection, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        read_log::find(&self.client().await?, ids).await
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        self.known_mark.fetch(&self.client().await?).await
    }

    fn signal(&self) -> AppendSignal {
        self.signal.clone()
    }

    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn highwater_core::schema::SchemaStore> {
        Some(self)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        Some(self)
    }

    fn returns_what_was_appended(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.pipeline.close().await;
    }
}

/// How far one statement may look.
fn scan_end(selection: &Selection, after: GlobalPosition, mark: GlobalPosition) -> GlobalPosition {
    match selection {
        // No index holds a category's events in order of position.
        Selection::Category(_) => mark.min(GlobalPosition::new(after.get() + SCAN_POSITIONS)),
        _ => mark,
    }
}
