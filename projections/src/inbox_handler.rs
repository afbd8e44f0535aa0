//! What a consumer of the bus does with a message, inside the transaction that remembers it.

use async_trait::async_trait;
use highwater_core::bus::{HandleError, Message, Topic};

/// Handles messages through a `C`: an `sqlx::PgConnection` or an `sqlx::SqliteConnection`.
///
/// Wrapped in an inbox it becomes a [`MessageHandler`](highwater_core::bus::MessageHandler) whose
/// effect happens exactly once, however often a message arrives.
///
/// # Contract
/// - Every effect MUST go through `connection`: the inbox's row is in the same transaction. What goes
///   elsewhere happens at least once.
/// - `handle` MUST NOT end the transaction.
#[async_trait]
pub trait InboxHandler<C>: Send + Sync + 'static {
    /// Names the consumer: its group on Kafka, its rows in the inbox. Never rename it.
    fn consumer(&self) -> &str;

    /// The topics it wants.
    fn topics(&self) -> Vec<Topic>;

    /// Handles one message that was not handled before.
    ///
    /// PostgreSQL ends a transaction in which nothing happens for a minute, so that a process which
    /// freezes doesn't hold up whoever gets the message next: don't call anybody who takes as long.
    ///
    /// # Errors
    /// [`HandleError`] says whether to try again. Neither effect nor inbox row is kept.
    async fn handle(&self, message: &Message, connection: &mut C) -> Result<(), HandleError>;
}
