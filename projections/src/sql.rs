//! Read models and inboxes in SQL databases: what happens in which order, the same for each.
//!
//! The statements are each database's own ([`SqlDatabase`], in `postgres` and `sqlite`).

mod checkpoint;
mod database;
mod error;
mod inbox;
mod read_model;

pub(crate) use checkpoint::{Checkpoint, standing};
pub(crate) use database::SqlDatabase;
pub(crate) use error::may_pass;
pub use inbox::SqlInbox;
pub use read_model::SqlReadModel;
