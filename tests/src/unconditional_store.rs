//! A store that reads the condition of an append and forgets it.
//!
//! It lives here to be caught: a check of conditions that this store passes checks nothing. All
//! else it leaves to the store inside.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{Append, AppendError, Appended, EventStore, MemoryStore, StoreLayer};

use crate::conformance::log::LogFactory;

/// A log in memory whose every handle forgets conditions.
#[derive(Default)]
pub struct UnconditionalLog {
    store: Arc<MemoryStore>,
}

#[async_trait]
impl LogFactory for UnconditionalLog {
    async fn open(&self) -> Arc<dyn EventStore> {
        Arc::new(UnconditionalStore::new(self.store.clone()))
    }
}

/// Appends whether the condition holds or not.
pub struct UnconditionalStore<S> {
    inner: Arc<S>,
}

impl<S: EventStore> UnconditionalStore<S> {
    /// Forgets the conditions of what is appended to `inner`.
    #[must_use]
    pub fn new(inner: Arc<S>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl<S: EventStore> StoreLayer for UnconditionalStore<S> {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        // As far away as a server would be: others get in between.
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
        let mut parts = append.streams().iter().cloned();
        let Some(first) = parts.next() else {
            return self.inner.append(append).await;
        };
        let first = Append::to(first.stream, first.expected, first.events);
        let unconditional = parts
            .fold(first, |append, part| append.and_to(part.stream, part.expected, part.events));
        self.inner.append(unconditional).await
    }
}
