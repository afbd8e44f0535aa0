//! Appends in a transaction of the caller's: its own rows and the events are one commit, readers lose
//! nothing by it, and a conflict is an outcome like any other.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use highwater::{Append, AppendError, Appended, EventStore, StoreLayer};

#[path = "append_in_transaction/postgres.rs"]
mod postgres;
#[path = "append_in_transaction/sqlite.rs"]
mod sqlite;

/// How a transaction of the caller's is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit,
    RollBack,
}

/// Appends within a transaction that also inserts `row` into the table `own_rows`.
#[async_trait]
trait OwnTransactions: Send + Sync + 'static {
    async fn append(&self, append: Append, row: &str, end: End) -> Result<Appended, AppendError>;
}

/// Carries out every other append in a transaction of its own; some of them twice, and the first time
/// rolled back.
struct HalfInTransactions {
    store: Arc<dyn EventStore>,
    own: Arc<dyn OwnTransactions>,
    count: AtomicUsize,
}

impl HalfInTransactions {
    fn new(store: Arc<dyn EventStore>, own: Arc<dyn OwnTransactions>) -> Arc<Self> {
        Arc::new(Self { store, own, count: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl StoreLayer for HalfInTransactions {
    fn inner(&self) -> &dyn EventStore {
        &*self.store
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let turn = self.count.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(2) {
            return self.store.append(append).await;
        }
        if turn.is_multiple_of(5) {
            // What comes of it is nobody's business: it is rolled back.
            let _ = self.own.append(append.clone(), "rolled back", End::RollBack).await;
        }
        let row = append.events().next().map(|event| event.id.to_string()).unwrap_or_default();
        self.own.append(append, &row, End::Commit).await
    }
}
