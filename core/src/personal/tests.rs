//! The vault and the layers against stores in memory.

#![allow(clippy::unwrap_used)]

mod damage;
mod forgetting;
mod publishing;
mod round_trip;

use std::sync::Arc;

use serde::Serialize;

use super::*;
use crate::{
    Append, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent, RecordedEvent,
    Selection, StreamId,
};

/// A log in memory with a vault on it, and both views of it.
struct House {
    raw: Arc<MemoryStore>,
    keys: Arc<MemoryKeyStore>,
    vault: Vault,
    log: Arc<SealedLog>,
}

fn master() -> MasterKeys {
    MasterKeys::new("test", SecretKey::from_bytes([42; 32]))
}

impl House {
    fn new() -> Self {
        let (raw, keys) = (Arc::new(MemoryStore::new()), Arc::new(MemoryKeyStore::new()));
        let vault = Vault::new(keys.clone(), master());
        let log = Arc::new(SealedLog::new(raw.clone(), vault.clone()));
        Self { raw, keys, vault, log }
    }

    /// The same log and keys, as another process sees them.
    fn elsewhere(&self) -> SealedLog {
        SealedLog::new(self.raw.clone(), Vault::new(self.keys.clone(), master()))
    }

    async fn append(&self, data: &impl Serialize) {
        self.log.append(append(data)).await.unwrap();
    }
}

fn stream() -> StreamId {
    StreamId::new("test", "a").unwrap()
}

fn append(data: &impl Serialize) -> Append {
    let event = NewEvent::new("tested", data).unwrap();
    Append::to(stream(), ExpectedVersion::Any, vec![event])
}

fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

async fn events(log: &dyn EventStore) -> Vec<RecordedEvent> {
    log.read_all(&Selection::All, GlobalPosition::START, 1_000).await.unwrap().events
}

/// The data of the log's last event.
async fn last(log: &dyn EventStore) -> String {
    events(log).await.pop().unwrap().data.as_json().to_owned()
}
