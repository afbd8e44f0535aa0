//! Schemas of events: derived from the types, locked in a file, compared before anything breaks.
//!
//! A program that reads events and a program that wrote them are rarely the same build. This module
//! owns what is known about both: the shapes of the events as JSON Schema ([`EventSchemas`]), the
//! record of every shape that was ever released ([`SchemaLock`]), and what a change breaks
//! ([`SchemaReport`]): BACKWARD if the new program can't read what the old one wrote, FORWARD if the
//! old one can't read what the new one writes.
//!
//! Left out: how old shapes are read. That is the upcasters' part, which the derive knows.

mod canonical;
mod compatibility;
mod event_schemas;
mod fit;
mod lock;
mod lock_file;
mod personal;
mod report;
#[cfg(feature = "runtime")]
mod schema_store;

mod validate;

#[cfg(test)]
mod tests;

pub use compatibility::{Compatibility, Direction};
pub use event_schemas::{DescribeEvents, EventSchema, EventSchemas, Shape};
pub use lock::{InvalidSchemaLock, LockedEvent, SchemaLock};
pub use lock_file::{SchemaLockError, SchemaLockFile};
pub use report::{Break, ChangeKind, SchemaChange, SchemaReport};
#[cfg(feature = "runtime")]
pub use schema_store::{KeepSchemasError, SchemaStore};
#[cfg(feature = "runtime")]
pub use validate::CheckedLog;
pub use validate::InvalidEvent;
