//! The log's contract, and the model that every other store is compared with.

mod checkpoint_store;
mod event_store;
mod layer;
mod memory_store;
mod signal;
mod subscription;

pub use checkpoint_store::{CheckpointError, CheckpointStore, Claim, Standing};
pub use event_store::{EventStore, Page, ReadError};
pub use layer::StoreLayer;
pub use memory_store::MemoryStore;
pub use signal::AppendSignal;
pub use subscription::Subscription;
