//! Remembers the messages that were handled, in the handler's own transaction.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::bus::{HandleError, Message, MessageHandler, Topic};
use sqlx::{Error, Pool};
use tokio::sync::OnceCell;

use super::{SqlDatabase, may_pass};
use crate::InboxHandler;

/// How many rows one statement of a purge deletes.
const PURGE_SIZE: i64 = 10_000;

/// Wraps an [`InboxHandler`], so that each message has its effect exactly once.
///
/// The row (consumer, message id) and the effect commit together or not at all; a message that was
/// handled before is acknowledged without effect. Rows are kept until [`SqlInbox::purge`].
pub struct SqlInbox<DB: SqlDatabase, H> {
    handler: H,
    pool: Pool<DB>,
    is_set_up: OnceCell<()>,
}

impl<DB: SqlDatabase, H: InboxHandler<DB::Connection>> SqlInbox<DB, H> {
    /// Handles messages with `handler` in the database of `pool`. The inbox's table is created with
    /// the first message, where it is missing.
    #[must_use]
    pub fn new(handler: H, pool: Pool<DB>) -> Self {
        Self { handler, pool, is_set_up: OnceCell::new() }
    }

    /// Forgets what this consumer received at least `age` ago, and says how many messages that
    /// were. PostgreSQL's own clock decides, for SQLite this machine's. Its cost grows with what it
    /// deletes, not with what is kept.
    ///
    /// `age` must exceed the longest time after which a message may still be delivered again:
    /// a forgotten message that arrives once more has its effect once more. On Kafka that is the
    /// topic's retention, if a consumer group may ever be set back.
    ///
    /// # Errors
    /// [`HandleError::Unavailable`].
    ///
    /// # Cancel safety
    /// What was deleted is deleted; call again for the rest.
    pub async fn purge(&self, age: Duration) -> Result<u64, HandleError> {
        self.set_up().await.map_err(HandleError::unavailable)?;
        let mut purged = 0;
        loop {
            let consumer = self.handler.consumer();
            let deleted = DB::purge(consumer, age, PURGE_SIZE, &self.pool)
                .await
                .map_err(HandleError::unavailable)?;
            purged += deleted;
            if deleted < PURGE_SIZE.cast_unsigned() {
                return Ok(purged);
            }
        }
    }

    async fn set_up(&self) -> Result<(), Error> {
        let set_up = self.is_set_up.get_or_try_init(|| async {
            let mut transaction = DB::begin(&self.pool).await?;
            DB::create_tables(&mut transaction).await?;
            transaction.commit().await
        });
        set_up.await.copied()
    }
}

#[async_trait]
impl<DB: SqlDatabase, H: InboxHandler<DB::Connection>> MessageHandler for SqlInbox<DB, H> {
    fn consumer(&self) -> &str {
        self.handler.consumer()
    }

    fn topics(&self) -> Vec<Topic> {
        self.handler.topics()
    }

    /// The row comes first, so that the same message elsewhere waits; it is looked for again behind
    /// the effect, because a handler may have swallowed an error that rolled the transaction back.
    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        let (consumer, id) = (self.handler.consumer(), message.id().to_string());
        self.set_up().await.map_err(HandleError::unavailable)?;
        let mut transaction = DB::begin(&self.pool).await.map_err(HandleError::unavailable)?;
        let is_new = DB::remember(consumer, &id, &mut transaction).await;
        if !is_new.map_err(HandleError::unavailable)? {
            return Ok(());
        }
        self.handler.handle(message, &mut transaction).await?;
        if !DB::is_remembered(consumer, &id, &mut transaction).await.map_err(doomed)? {
            return Err(HandleError::poison("the handler ended its transaction"));
        }
        transaction.commit().await.map_err(doomed)
    }
}

/// Sorts an error after the effect: a connection may come back; a deferred constraint, or an error
/// that the handler swallowed, won't go away.
fn doomed(error: Error) -> HandleError {
    match may_pass(&error) {
        true => HandleError::unavailable(error),
        false => HandleError::poison(error),
    }
}
