//! Read models of Highwater: projections, the runner that keeps them up to date, and inboxes.
//!
//! A [`Projection`] says which events it reads; [`Project`] says what it writes for each, through a
//! PostgreSQL connection, a SQLite connection or a [`RedisBatch`]. A [`ProjectionRunner`] reads the
//! log page by page and writes the effects of a page and the checkpoint in one atomic write, so that
//! each event counts exactly once whatever dies when. An inbox gives a consumer of the bus the same.
//!
//! Left out here: reading the log (core's `Subscription`), starting runners again after an error
//! (core's supervisor), and querying read models, which is the application's own business.

mod held_page;
mod inbox_handler;
mod project_error;
mod projection;
mod read_model;
mod read_model_error;
mod runner;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use highwater_core::Standing;
pub use inbox_handler::InboxHandler;
pub use project_error::ProjectError;
pub use projection::{Project, Projection};
pub use read_model::ReadModel;
pub use read_model_error::ReadModelError;
pub use runner::{ProjectionRunner, ReplayError};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::{SqlInbox, SqlReadModel};

#[cfg(feature = "postgres")]
pub use postgres::{PostgresInbox, PostgresReadModel};
#[cfg(feature = "redis")]
pub use redis::{RedisBatch, RedisCommand, RedisReadModel};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteInbox, SqliteReadModel};
