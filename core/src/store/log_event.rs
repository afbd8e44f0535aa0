//! What a reader of the log may ask for: events whole, or bare.

use std::future::Future;

use super::{EventStore, Page, ReadError};
use crate::{BareEvent, GlobalPosition, RecordedEvent, Selection};

/// What a [`Page`] of the log is made of: [`RecordedEvent`]s, or [`BareEvent`]s for who needs no more.
/// Nothing else implements it.
pub trait LogEvent: read::Read + Send + Sync + 'static {
    /// Its place in the whole log.
    fn position(&self) -> GlobalPosition;
}

/// Sealed: what a store can be asked for is the store's to say.
pub(super) mod read {
    use super::{EventStore, Future, GlobalPosition, Page, ReadError, Selection};

    /// How a page of such events is read.
    pub trait Read: Sized {
        /// Asks `store` for one.
        fn read(
            store: &dyn EventStore,
            selection: &Selection,
            after: GlobalPosition,
            limit: usize,
        ) -> impl Future<Output = Result<Page<Self>, ReadError>> + Send;
    }
}

impl LogEvent for RecordedEvent {
    fn position(&self) -> GlobalPosition {
        self.position
    }
}

impl read::Read for RecordedEvent {
    async fn read(
        store: &dyn EventStore,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        store.read_all(selection, after, limit).await
    }
}

impl LogEvent for BareEvent {
    fn position(&self) -> GlobalPosition {
        self.position
    }
}

impl read::Read for BareEvent {
    async fn read(
        store: &dyn EventStore,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page<Self>, ReadError> {
        store.read_all_bare(selection, after, limit).await
    }
}
