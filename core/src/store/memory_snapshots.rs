//! Snapshots in memory: the model of the snapshot stores.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Snapshot;
use crate::{StateSchema, StreamId, StreamVersion};

/// By stream, schema and version.
type Streams = HashMap<StreamId, BTreeMap<StateSchema, BTreeMap<StreamVersion, Snapshot>>>;

/// The snapshots of a log in memory.
#[derive(Default)]
pub(super) struct MemorySnapshots {
    streams: Mutex<Streams>,
}

impl MemorySnapshots {
    pub(super) fn load(
        &self,
        stream: &StreamId,
        schema: &StateSchema,
        at_most: StreamVersion,
    ) -> Option<Snapshot> {
        let streams = self.streams();
        let versions = streams.get(stream)?.get(schema)?;
        versions.range(..=at_most).next_back().map(|(_, snapshot)| snapshot.clone())
    }

    pub(super) fn save(&self, snapshot: &Snapshot, keep: NonZeroUsize) {
        let mut streams = self.streams();
        let schemas = streams.entry(snapshot.stream.clone()).or_default();
        let new = &snapshot.schema;
        schemas.retain(|old, _| old.name != new.name || old.version >= new.version);
        let versions = schemas.entry(new.clone()).or_default();
        versions.insert(snapshot.version, snapshot.clone());
        while versions.len() > keep.get() {
            versions.pop_first();
        }
    }

    pub(super) fn delete(&self, stream: &StreamId) {
        self.streams().remove(stream);
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // No step in between leaves anything worse than a snapshot too many.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
