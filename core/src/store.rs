//! The log's contract, and the model that every other store is compared with.

mod checkpoint_store;
mod event_store;
mod layer;
mod log_event;
mod memory_retention;
#[cfg(feature = "schema")]
mod memory_schemas;
mod memory_snapshots;
mod memory_store;
mod position_at;
mod signal;
mod snapshot_store;
mod subscription;

pub use checkpoint_store::{CheckpointError, CheckpointStore, Claim, Standing};
pub use event_store::{EventStore, Page, ReadError};
pub use layer::StoreLayer;
pub use log_event::LogEvent;
pub use memory_store::MemoryStore;
pub use position_at::position_at;
pub use signal::AppendSignal;
pub use snapshot_store::{Snapshot, SnapshotError, SnapshotStore};
pub use subscription::Subscription;
