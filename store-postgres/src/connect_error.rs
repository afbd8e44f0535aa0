//! Why a store couldn't be opened.

use std::error::Error;

/// Why a store couldn't be opened. No variant holds or shows a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL isn't one. It is not repeated here: it may hold a password.
    #[error(
        "the database URL can't be read; it must look like \
         postgresql://user:password@host:5432/database"
    )]
    Url,
    /// The server didn't answer within the time allowed.
    #[error("PostgreSQL at {address} can't be reached, tried {attempts} times; is it running?")]
    Unreachable {
        /// Host, port and database.
        address: String,
        /// How often it was tried.
        attempts: usize,
        /// What the last try ran into.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server answered, and doesn't let us in: trying again wouldn't help.
    #[error("PostgreSQL at {address} refuses the connection; check user, password and database")]
    Refused {
        /// Host, port and database.
        address: String,
        /// What the server says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A migration of the schema `highwater` failed. Nothing of it was kept.
    #[error("the schema \"highwater\" could not be brought up to date, {doing}")]
    Migration {
        /// What was being done.
        doing: String,
        /// What the server says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The database was migrated by a program whose migration of this number was another one.
    #[error(
        "migration {version} of the schema \"highwater\" was applied from another text than this \
         program has; the database belongs to another version of Highwater"
    )]
    MigrationDiffers {
        /// The migration's number.
        version: i32,
    },
}

impl ConnectError {
    /// True if connecting again later may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
