//! The Highwater log in PostgreSQL.
//!
//! [`PostgresStore::connect`] migrates the schema `highwater` and gives an
//! [`EventStore`](highwater_core::EventStore): any number of processes may append at once, a writer
//! waits for another one's commit only where both write one stream or one asks about what the other
//! writes, and readers see one order that never changes behind them.
//!
//! - Appending: many callers' appends per transaction, several transactions at a time, one round
//!   trip each ([`highwater_core::AppendPipeline`] in front of `highwater.append_batch` and its
//!   short forms for plain appends).
//! - Reading: pages below the high-water mark (`highwater.high_water_mark`), which no clock moves
//!   and no transaction holds but an append's own.
//!
//! Read the primary, never a replica: a replica shows commits in another order. One database holds
//! one log.
//!
//! # Privileges
//! The order of the log rests on every insert passing through `highwater.append_batch` and the functions
//! beside it, which run with their owner's rights. Migrate with the owning role, and let the application
//! connect with another one that can append and read but neither insert nor change an event:
//!
//! ```sql
//! -- Once. Of the tables that later migrations create, too, if this role migrates.
//! ALTER DEFAULT PRIVILEGES IN SCHEMA highwater GRANT SELECT ON TABLES TO app;
//! -- And after each migration: ALL means those that are there.
//! REVOKE ALL ON ALL TABLES IN SCHEMA highwater FROM app;      -- INSERT among them
//! REVOKE ALL ON ALL SEQUENCES IN SCHEMA highwater FROM app;
//! GRANT USAGE ON SCHEMA highwater TO app;
//! GRANT SELECT ON ALL TABLES IN SCHEMA highwater TO app;
//! GRANT SELECT ON SEQUENCE highwater.event_position TO app;
//! GRANT EXECUTE ON FUNCTION highwater.append_event, highwater.append_events,
//!     highwater.append_batch, highwater.append_in_turn, highwater.roll_over,
//!     highwater.add_next_partition TO app;
//! GRANT INSERT, UPDATE ON highwater.checkpoints TO app;
//! GRANT INSERT, UPDATE ON highwater.subject_keys TO app;
//! GRANT INSERT, UPDATE, DELETE ON highwater.snapshots TO app;
//! GRANT INSERT ON highwater.event_schemas TO app;
//! ```
//!
//! Run the list anew with each version of this crate: `SELECT ON ALL TABLES` covers the tables that
//! exist at that moment and none that a later migration creates, and a version may add a line.
//!
//! A transaction in which the application calls `add_next_partition` itself and that it leaves open stops
//! readers, as one in which it appends and that it leaves open stops appends.
//!
//! Removing events ([`Retention`](highwater_core::retention::Retention)) is the owning role's.

mod answer;
mod append_in_transaction;
mod batch_arrays;
mod batch_writer;
mod checkpoint_store;
mod connect;
mod connect_error;
mod held_mark;
mod high_water_mark;
mod key_store;
mod migrator;
mod partition_removal;
mod partitions;
mod plain_arrays;
mod postgres_options;
mod postgres_store;
mod query_arrays;
mod read_log;
mod recorded_row;
mod retention;
mod rivals;
mod roll_over;
#[cfg(feature = "schema")]
mod schema_store;
mod snapshot_store;
mod sqlstate;

pub use connect_error::ConnectError;
pub use partitions::{LogPartition, PartitionError, PartitionState};
pub use postgres_options::PostgresOptions;
pub use postgres_store::PostgresStore;
