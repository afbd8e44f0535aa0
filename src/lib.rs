//! The facade: re-exports only, one feature per part.
// The README's example runs, which a build without a runtime can't.
#![cfg_attr(feature = "runtime", doc = include_str!("../README.md"))]

pub use highwater_core::*;

/// Projection runners and read models in PostgreSQL, SQLite and Redis.
#[cfg(feature = "runtime")]
pub use highwater_projections as projections;

/// Sagas: steps with compensations and deadlines.
#[cfg(feature = "runtime")]
pub use highwater_sagas as sagas;

/// The log in PostgreSQL.
#[cfg(feature = "postgres")]
pub use highwater_store_postgres as postgres;

/// The log in one SQLite file.
#[cfg(feature = "sqlite")]
pub use highwater_store_sqlite as sqlite;

/// The bus on Kafka.
#[cfg(feature = "kafka")]
pub use highwater_bus_kafka as kafka;
