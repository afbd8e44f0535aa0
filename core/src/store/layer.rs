//! A store on top of a store: what a layer changes it writes down, everything else passes through.
//!
//! This file owns the passing through. What a layer is for (tenants, personal data, faults in a
//! test) lives with the layer.

use std::sync::Arc;

use async_trait::async_trait;

use super::event_store::visit_bare;
use super::{
    AppendSignal, CheckpointError, CheckpointStore, Claim, EventStore, Page, ReadError,
    SnapshotStore, Standing,
};
use crate::{
    Append, AppendError, Appended, BareEvent, EventId, GlobalPosition, Payload, RecordedEvent,
    Selection, StreamId, StreamVersion, TenantId,
};

/// A store that stands on another one. Whoever implements it is an [`EventStore`].
///
/// Every method but `snapshots`, `returns_what_was_appended` and the two that read bare events passes
/// the call to [`inner`](StoreLayer::inner) unless the layer says otherwise, and MUST keep the promises
/// that [`EventStore`] and [`CheckpointStore`] make under the same name.
///
/// # Examples
/// A layer that counts what is appended:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use async_trait::async_trait;
/// use highwater_core::{Append, AppendError, Appended, EventStore, StoreLayer};
///
/// struct Counting {
///     inner: Arc<dyn EventStore>,
///     appended: AtomicUsize,
/// }
///
/// #[async_trait]
/// impl StoreLayer for Counting {
///     fn inner(&self) -> &dyn EventStore {
///         &*self.inner
///     }
///
///     async fn append(&self, append: Append) -> Result<Appended, AppendError> {
///         let appended = self.inner.append(append).await?;
///         self.appended.fetch_add(1, Ordering::Relaxed);
///         Ok(appended)
///     }
/// }
/// ```
#[async_trait]
#[allow(missing_docs, reason = "each method is documented where it is promised")]
pub trait StoreLayer: Send + Sync + 'static {
    /// The store below.
    fn inner(&self) -> &dyn EventStore;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.inner().append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner().read_stream(stream, after, limit).await
    }

    /// Visits what the layer's own `read_stream` reads. One that leaves events as they are may pass the
    /// call on, which is faster.
    async fn visit_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(BareEvent) + Send),
    ) -> Result<usize, ReadError> {
        Ok(visit_bare(StoreLayer::read_stream(self, stream, after, limit).await?, visit))
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        self.inner().read_all(selection, after, limit).await
    }

    /// What the layer's own `read_all` reads, less the envelope. One that leaves events as they are may
    /// pass the call on, which is faster.
    async fn read_all_bare(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<BareEvent>, ReadError> {
        let whole = StoreLayer::read_all(self, selection, after, limit).await?;
        Ok(whole.map(BareEvent::from))
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner().find(ids).await
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        self.inner().high_water_mark().await
    }

    fn signal(&self) -> AppendSignal {
        self.inner().signal()
    }

    /// None unless the layer says otherwise, because passing them through could be wrong: a layer that
    /// seals data or renames streams must do so to snapshots as well. One that does neither returns
    /// `self.inner().snapshots()`.
    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        None
    }

    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn crate::schema::SchemaStore> {
        self.inner().schemas()
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        self.inner().sealed()
    }

    fn tenant(&self) -> Option<&TenantId> {
        self.inner().tenant()
    }

    /// No, unless the layer says otherwise. One that changes neither what is appended nor what is read
    /// returns `self.inner().returns_what_was_appended()`.
    fn returns_what_was_appended(&self) -> bool {
        false
    }

    fn forgettings(&self) -> u64 {
        self.inner().forgettings()
    }

    fn pages_ahead(&self) -> usize {
        self.inner().pages_ahead()
    }

    async fn close(&self) {
        self.inner().close().await;
    }

    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        self.inner().claim(consumer).await
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        self.inner().advance(claim, position, state).await
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        self.inner().standing(consumer).await
    }
}

#[async_trait]
impl<L: StoreLayer> EventStore for L {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        StoreLayer::append(self, append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        StoreLayer::read_stream(self, stream, after, limit).await
    }

    async fn visit_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(BareEvent) + Send),
    ) -> Result<usize, ReadError> {
        StoreLayer::visit_stream(self, stream, after, limit, visit).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        StoreLayer::read_all(self, selection, after, limit).await
    }

    async fn read_all_bare(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<BareEvent>, ReadError> {
        StoreLayer::read_all_bare(self, selection, after, limit).await
    }

    async fn find(&self, ids: &[EventId]) -> Result<Vec<RecordedEvent>, ReadError> {
        StoreLayer::find(self, ids).await
    }

    async fn high_water_mark(&self) -> Result<GlobalPosition, ReadError> {
        StoreLayer::high_water_mark(self).await
    }

    fn signal(&self) -> AppendSignal {
        StoreLayer::signal(self)
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        StoreLayer::snapshots(self)
    }

    #[cfg(feature = "schema")]
    fn schemas(&self) -> Option<&dyn crate::schema::SchemaStore> {
        StoreLayer::schemas(self)
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        StoreLayer::sealed(self)
    }

    fn tenant(&self) -> Option<&TenantId> {
        StoreLayer::tenant(self)
    }

    fn returns_what_was_appended(&self) -> bool {
        StoreLayer::returns_what_was_appended(self)
    }

    fn forgettings(&self) -> u64 {
        StoreLayer::forgettings(self)
    }

    fn pages_ahead(&self) -> usize {
        StoreLayer::pages_ahead(self)
    }

    async fn close(&self) {
        StoreLayer::close(self).await;
    }
}

#[async_trait]
impl<L: StoreLayer> CheckpointStore for L {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        StoreLayer::claim(self, consumer).await
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        StoreLayer::advance(self, claim, position, state).await
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        StoreLayer::standing(self, consumer).await
    }
}
