//! The Highwater log in PostgreSQL.
//!
//! [`PostgresStore::connect`] migrates the schema `highwater` and gives an
//! [`EventStore`](highwater_core::EventStore): any number of processes may append at once, writers
//! never wait for each other unless they write one stream or ask about one tag, and readers see one
//! order that never changes behind them.
//!
//! - Appending: many callers' appends per transaction, several transactions at a time, one round
//!   trip each ([`highwater_core::AppendPipeline`] in front of `highwater.append_batch`).
//! - Reading: pages below the high-water mark (`highwater.high_water_mark`), which no clock moves
//!   and no transaction holds but an append's own.
//!
//! Read the primary, never a replica: a replica shows commits in another order. One database holds
//! one log.
//!
//! # Privileges
//! The order of the log rests on every insert passing through `highwater.append_batch`, which runs
//! with its owner's rights. Migrate with the owning role, and let the application connect with
//! another one that can append and read but neither insert nor change an event:
//!
//! ```sql
//! REVOKE ALL ON ALL TABLES IN SCHEMA highwater FROM app;      -- INSERT among them
//! REVOKE ALL ON ALL SEQUENCES IN SCHEMA highwater FROM app;
//! GRANT USAGE ON SCHEMA highwater TO app;
//! GRANT SELECT ON ALL TABLES IN SCHEMA highwater TO app;
//! GRANT SELECT ON SEQUENCE highwater.event_position TO app;
//! GRANT EXECUTE ON FUNCTION highwater.append_batch TO app;
//! GRANT INSERT, UPDATE ON highwater.checkpoints TO app;
//! ```

mod batch_arrays;
mod batch_writer;
mod checkpoint_store;
mod connect;
mod connect_error;
mod high_water_mark;
mod migrator;
mod postgres_options;
mod postgres_store;
mod query_arrays;
mod read_log;
mod recorded_row;
mod sqlstate;

pub use connect_error::ConnectError;
pub use postgres_options::PostgresOptions;
pub use postgres_store::PostgresStore;
