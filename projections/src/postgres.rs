//! Read models and inboxes in PostgreSQL.

mod checkpoint;
mod inbox;
mod read_model;
mod tables;

pub use inbox::PostgresInbox;
pub use read_model::PostgresReadModel;
