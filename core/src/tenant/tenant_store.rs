//! [`TenantStore`]: one tenant's part of a log, as a log of its own.
//!
//! What a name becomes on its way in and out stands in `terms.rs`; this file passes the calls on.
//! It implements [`EventStore`] in full and is no [`StoreLayer`](crate::StoreLayer): a layer passes
//! on what it doesn't know, and a wall must not.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::RwLock;

use super::terms::Terms;
use crate::{
    Append, AppendError, AppendSignal, Appended, BareEvent, Category, CheckpointError,
    CheckpointStore, Claim, EventId, EventStore, GlobalPosition, Page, Payload, ReadError,
    RecordedEvent, Selection, Snapshot, SnapshotError, SnapshotStore, Standing, StateSchema,
    StreamId, StreamVersion, TenantError, TenantId,
};

/// How many events are read at a time for a selection that drops some of them.
const SIFTED_AT_A_TIME: usize = 500;
/// How often one call does so before it returns what it has, and how far it has come.
const MOST_SIFTINGS: usize = 20;

/// One tenant's part of a log, as a log of its own.
///
/// It keeps every promise of [`EventStore`], and the tenant can't tell that others are there: not by
/// a stream, a tag, an event's id, a condition, a consumer's name, or a snapshot, though all of them
/// may be the same as another tenant's. Two things are shared and show: positions count the events
/// of the whole log, so gaps tell how much is going on elsewhere, and
/// [`signal`](EventStore::signal) tells of everybody's appends.
///
/// Personal data goes through a [`SealedLog`](crate::SealedLog), below the wall or on top of it: either
/// way with keys of the tenant's own [`Subject`](crate::Subject)s.
///
/// The tenant's streams, tags and ids come and go as the tenant knows them: `order-7`, not
/// `@acme/order-7`. Metadata may name this tenant or none.
///
/// Closing it closes it for whoever holds it, and not the store below. Dropping it is enough.
///
/// # What it costs
/// Every event carries one tag more. A condition or selection without tags reads all of the
/// tenant's events behind its position, and a category those of the tenant's other categories too; an
/// append with a condition without tags makes the tenant's other appends wait while it commits.
///
/// # Errors
/// What names another tenant is refused with [`TenantError`] as the source of
/// [`AppendError::Refused`] or [`ReadError::Refused`].
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// use highwater::{
///     Append, EventStore, ExpectedVersion, MemoryStore, NewEvent, StreamId, StreamVersion, TenantId,
///     TenantStore,
/// };
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = Arc::new(MemoryStore::new());
/// let acme = TenantStore::new(log.clone(), &TenantId::new("acme")?);
/// let bolt = TenantStore::new(log.clone(), &TenantId::new("bolt")?);
///
/// let order = StreamId::new("order", 7)?;
/// let placed = NewEvent::new("order.placed", &"a lamp")?;
/// acme.append(Append::to(order.clone(), ExpectedVersion::NoStream, vec![placed])).await?;
///
/// assert_eq!(acme.read_stream(&order, StreamVersion::EMPTY, 10).await?.len(), 1);
/// assert!(bolt.read_stream(&order, StreamVersion::EMPTY, 10).await?.is_empty());
///
/// // Who reads the whole log sees whose order it is.
/// let whole = order.in_tenant(&TenantId::new("acme")?);
/// assert_eq!(whole.as_str(), "@acme/order-7");
/// assert_eq!(log.read_stream(&whole, StreamVersion::EMPTY, 10).await?.len(), 1);
/// // And bolt doesn't get there by writing that name.
/// assert!(bolt.read_stream(&whole, StreamVersion::EMPTY, 10).await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct TenantStore {
    inner: Arc<dyn EventStore>,
    terms: Terms,
    /// Read by every append while it runs, so that closing waits for those in flight.
    is_closed: RwLock<bool>,
}

impl TenantStore {
    /// What belongs to `tenant` in the log that `inner` holds.
    ///
    /// `inner` is the log as a whole. A tenant's store on top of a tenant's store refuses every append.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>, tenant: &TenantId) -> Self {
        Self { inner, terms: Terms::of(tenant), is_closed: RwLock::new(false) }
    }

    /// Leaves tags as they are, so that tenants meet: what a test of the wall must find.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    #[must_use]
    pub fn without_tag_prefix(mut self) -> Self {
        self.terms.prefixes_tags = false;
        self
    }

    /// Whose store it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.terms.tenant()
    }

    /// Reads on until the page is full or the log ends, leaving out what isn't wanted.
    async fn sift(
        &self,
        selection: &Selection,
        category: Option<&Category>,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let mut page = Page { events: Vec::new(), read_to: after, is_last: false };
        for _ in 0..MOST_SIFTINGS {
            let wanted = limit - page.events.len();
            let at_a_time = if category.is_some() { wanted.max(SIFTED_AT_A_TIME) } else { wanted };
            let found = self.inner.read_all(selection, page.read_to, at_a_time).await;
            let found = found.map_err(|error| self.terms.read_error(error))?;
            page.read_to = found.read_to;
            let is_wanted = |event: &RecordedEvent| {
                category.is_none_or(|category| event.stream.category() == category.as_str())
            };
            let own = found.events.into_iter().filter_map(|event| self.terms.own_event(event));
            page.events.extend(own.filter(is_wanted).take(wanted));
            if page.events.len() == limit {
                page.read_to = page.events.last().map_or(after, |last| last.position);
                return Ok(page);
            }
            if found.is_last {
                page.is_last = true;
                return Ok(page);
            }
        }
        Ok(page)
    }

    /// Claims and checkpoints speak of consumers as the tenant knows them.
    fn own_checkpoint_error(&self, error: CheckpointError, known_as: &str) -> CheckpointError {
        let consumer = known_as.to_owned();
        match error {
            CheckpointError::Fenced { epoch, .. } => CheckpointError::Fenced { consumer, epoch },
            CheckpointError::Unavailable { source, .. } => {
                CheckpointError::Unavailable { consumer, source }
            }
            CheckpointError::Refused { source, .. } => {
                CheckpointError::Refused { consumer, source }
            }
        }
    }
}

fn refused(error: TenantError) -> ReadError {
    ReadError::Refused { source: Box::new(error) }
}

#[async_trait]
impl EventStore for TenantStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let append = self
            .terms
            .append(append)
            .map_err(|error| AppendError::Refused { source: Box::new(error) })?;
        let is_closed = self.is_closed.read().await;
        if *is_closed {
            return Err(AppendError::Closed);
        }
        let appended = self.inner.append(append).await;
        appended
            .map(|appended| self.terms.appended(appended))
            .map_err(|error| self.terms.append_error(error))
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let stream = self.terms.stream(stream).map_err(refused)?;
        let found = self.inner.read_stream(&stream, after, limit).await;
        let found = found.map_err(|error| self.terms.read_error(error))?;
        Ok(found.into_iter().filter_map(|event| self.terms.own_event(event)).collect())
    }

    async fn visit_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(BareEvent) + Send),
    ) -> Result<usize, ReadError> {
        let stream = self.terms.stream(stream).map_err(refused)?;
        let mut visit_own =
            |event| self.terms.own_bare_event(event).into_iter().for_each(&mut *visit);
        let read = self.inner.visit_stream(&stream, after, limit, &mut visit_own).await;
        read.map_err(|error| self.terms.read_error(error))
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let (selection, category) = self.terms.selection(selection).map_err(refused)?;
        if limit == 0 {
            return self.inner.read_all(&selection, after, 0).await;
        }
        self.sift(&selection, category, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        let ids: Vec<_> = ids.iter().map(|&id| self.terms.id(id)).collect();
        let found = self.inner.find(&ids).await?;
        Ok(found.into_iter().filter_map(|event| self.terms.own_event(event)).collect())
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        self.inner.high_water_mark().await
    }

    fn signal(&self) -> AppendSignal {
        self.inner.signal()
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots().map(|_| self as &dyn SnapshotStore)
    }

    /// The shape of events is the application's, not a tenant's.
    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn crate::schema::SchemaStore> {
        self.inner.schemas()
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        let sealed = TenantStore::new(self.inner.sealed()?, self.terms.tenant());
        Some(Arc::new(sealed))
    }

    fn tenant(&self) -> Option<&TenantId> {
        Some(self.terms.tenant())
    }

    fn returns_what_was_appended(&self) -> bool {
        self.inner.returns_what_was_appended()
    }

    fn forgettings(&self) -> u64 {
        self.inner.forgettings()
    }

    fn pages_ahead(&self) -> usize {
        self.inner.pages_ahead()
    }

    async fn close(&self) {
        *self.is_closed.write().await = true;
    }
}

#[async_trait]
impl CheckpointStore for TenantStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let claim = self.inner.claim(&self.terms.consumer(consumer)).await;
        claim
            .map(|claim| Claim { consumer: consumer.to_owned(), ..claim })
            .map_err(|error| self.own_checkpoint_error(error, consumer))
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        let consumer = self.terms.consumer(&claim.consumer);
        let own = Claim { consumer, state: None, ..claim.clone() };
        let advanced = self.inner.advance(&own, position, state).await;
        advanced.map_err(|error| self.own_checkpoint_error(error, &claim.consumer))
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        let standing = self.inner.standing(&self.terms.consumer(consumer)).await;
        standing.map_err(|error| self.own_checkpoint_error(error, consumer))
    }
}

#[async_trait]
impl SnapshotStore for TenantStore {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(snapshots) = self.inner.snapshots() else {
            return Ok(None);
        };
        let whole = self.terms.stream(stream).map_err(|error| not_kept(stream, error))?;
        let found = snapshots.load_snapshot(&whole, schema, at_most).await.map_err(own_error)?;
        Ok(found.map(|snapshot| self.translated(snapshot, stream.clone())))
    }

    async fn save_snapshot(
        &self,
        snapshot: &Snapshot,
        keep: NonZeroUsize,
    ) -> Result<(), SnapshotError> {
        let Some(snapshots) = self.inner.snapshots() else {
            return Ok(());
        };
        let stream = &snapshot.stream;
        let whole = self.terms.stream(stream).map_err(|error| not_kept(stream, error))?;
        let snapshot = self.translated(snapshot.clone(), whole);
        snapshots.save_snapshot(&snapshot, keep).await.map_err(own_error)
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), SnapshotError> {
        let Some(snapshots) = self.inner.snapshots() else {
            return Ok(());
        };
        let whole = self.terms.stream(stream).map_err(|error| not_kept(stream, error))?;
        snapshots.delete_snapshots(&whole).await.map_err(own_error)
    }
}

impl TenantStore {
    /// The same step both ways, but for the stream.
    fn translated(&self, snapshot: Snapshot, stream: StreamId) -> Snapshot {
        Snapshot { stream, last_event: self.terms.id(snapshot.last_event), ..snapshot }
    }
}

fn not_kept(stream: &StreamId, error: TenantError) -> SnapshotError {
    SnapshotError::Refused { stream: stream.clone(), source: Box::new(error) }
}

fn own_error(error: SnapshotError) -> SnapshotError {
    match error {
        SnapshotError::Unavailable { stream, source } => {
            SnapshotError::Unavailable { stream: stream.without_tenant(), source }
        }
        SnapshotError::Refused { stream, source } => {
            SnapshotError::Refused { stream: stream.without_tenant(), source }
        }
        SnapshotError::Corrupt { stream, version, source } => {
            SnapshotError::Corrupt { stream: stream.without_tenant(), version, source }
        }
    }
}
