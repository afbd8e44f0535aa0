//! The Highwater log in one SQLite file.
//!
//! Durable (write-ahead log, a sync per commit), in one file, for one machine: several processes
//! may share the file, a network file system may not hold it. Appends of a process are grouped, so
//! that many callers share one sync.
//!
//! Left out: read models (they are kept by the projections, in this file or another), and what the
//! log means (that is `EventStore`'s contract).

mod append_in_transaction;
mod batch_plan;
mod batch_writer;
mod checkpoint_store;
mod connections;
mod high_water_mark;
mod key_store;
mod migrator;
mod open_error;
mod query_sql;
mod read_log;
mod recorded_row;
mod result_code;
mod retention;
#[cfg(feature = "schema")]
mod schema_store;
mod snapshot_store;
mod sqlite_options;
mod sqlite_store;

pub use open_error::OpenError;
pub use result_code::SqliteFault;
pub use sqlite_options::SqliteOptions;
pub use sqlite_store::SqliteStore;
