//! Read models and inboxes in SQLite.

mod checkpoint;
mod inbox;
mod read_model;
mod tables;

pub use inbox::SqliteInbox;
pub use read_model::SqliteReadModel;
