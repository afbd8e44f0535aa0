//! What each database says in its own words.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{Claim, Page};
use sqlx::{Database, Error, Pool, Transaction};

use super::Checkpoint;
use crate::Standing;

/// The statements of one database. All but `begin` and `purge` are part of the caller's transaction.
///
/// Sealed: this room implements it for the databases that its conformance suites run on.
#[async_trait]
pub trait SqlDatabase: Database {
    /// Begins a transaction that may write.
    async fn begin(pool: &Pool<Self>) -> Result<Transaction<'static, Self>, Error>;

    /// Creates the room's tables where they are missing, one process at a time.
    async fn create_tables(connection: &mut Self::Connection) -> Result<(), Error>;

    /// Raises the epoch and says where the checkpoint stands; the first claim creates it.
    async fn claim(
        checkpoint: Checkpoint,
        connection: &mut Self::Connection,
    ) -> Result<Standing, Error>;

    /// Reads the checkpoint and keeps everybody else off it until the transaction ends.
    async fn lock(
        checkpoint: Checkpoint,
        connection: &mut Self::Connection,
    ) -> Result<Standing, Error>;

    /// Moves the checkpoint to the page's end; false unless the transaction is still the one of the
    /// lock and the checkpoint where the claim left it.
    async fn advance(
        checkpoint: Checkpoint,
        connection: &mut Self::Connection,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, Error>;

    /// Reads the checkpoint.
    async fn look(
        checkpoint: Checkpoint,
        connection: &mut Self::Connection,
    ) -> Result<Standing, Error>;

    /// Writes a message's row into the inbox; false if it is there already. The same message on
    /// another connection waits here for the first one's transaction to end.
    async fn remember(
        consumer: &str,
        message: &str,
        connection: &mut Self::Connection,
    ) -> Result<bool, Error>;

    /// True if the transaction still holds the message's row.
    async fn is_remembered(
        consumer: &str,
        message: &str,
        connection: &mut Self::Connection,
    ) -> Result<bool, Error>;

    /// Deletes the oldest rows of the inbox, `at_most` so many, and says how many there were.
    async fn purge(
        consumer: &str,
        age: Duration,
        at_most: i64,
        pool: &Pool<Self>,
    ) -> Result<u64, Error>;
}
