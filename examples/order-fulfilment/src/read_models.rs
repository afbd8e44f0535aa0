//! What people ask for, kept ready: the status of orders, top products, notifications.
//!
//! Each read model is one file: its table, how events change it, how it is asked. The SQL is the
//! same on SQLite and Postgres, so each projection is written once and enrolled for both.

pub mod notifications;
pub mod order_status;
pub mod top_products;

use sqlx::SqlitePool;

/// Where the SQL read models live. Cheap to clone.
#[derive(Clone)]
pub enum ReadDatabase {
    /// A SQLite file.
    Sqlite(SqlitePool),
    /// A Postgres database.
    #[cfg(feature = "stack")]
    Postgres(sqlx::PgPool),
}

/// Runs the same query on whichever database it is.
macro_rules! on_either {
    ($database:expr, |$pool:ident| $query:expr) => {
        match $database {
            $crate::read_models::ReadDatabase::Sqlite($pool) => $query,
            #[cfg(feature = "stack")]
            $crate::read_models::ReadDatabase::Postgres($pool) => $query,
        }
    };
}
pub(crate) use on_either;
