//! Remembers the messages that were handled, in the handler's own SQLite transaction.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::bus::{HandleError, Message, MessageHandler, Topic};
use sqlx::{Error, SqliteConnection, SqlitePool};
use tokio::sync::OnceCell;

use super::tables;
use crate::InboxHandler;
use crate::sql_error::may_pass;

const REMEMBER: &str = "
    INSERT INTO highwater_inbox (consumer, message_id, received_at_ms)
    VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER))
    ON CONFLICT (consumer, message_id) DO NOTHING";

/// Comes after the effect. Some errors make SQLite roll back by itself; if the handler swallowed one,
/// the row is gone, and the message must not be acknowledged.
const IS_REMEMBERED: &str = "
    SELECT EXISTS (SELECT 1 FROM highwater_inbox WHERE consumer = ?1 AND message_id = ?2)";

/// Takes the oldest by the index `highwater_inbox_by_age`, a bounded number at a time.
const PURGE: &str = "
    DELETE FROM highwater_inbox WHERE rowid IN (
        SELECT rowid FROM highwater_inbox
        WHERE consumer = ?1
            AND received_at_ms <= CAST((unixepoch('subsec') - ?2) * 1000 AS INTEGER)
        ORDER BY received_at_ms
        LIMIT ?3
    )";

/// How many rows one statement of a purge deletes.
const PURGE_SIZE: i64 = 10_000;

/// Wraps an [`InboxHandler`], so that each message has its effect exactly once.
///
/// The row (consumer, message id) and the effect commit together or not at all; a message that was
/// handled before is acknowledged without effect. Rows are kept until [`SqliteInbox::purge`].
pub struct SqliteInbox<H> {
    handler: H,
    pool: SqlitePool,
    is_set_up: OnceCell<()>,
}

impl<H: InboxHandler<SqliteConnection>> SqliteInbox<H> {
    /// Handles messages with `handler` in the database of `pool`. The inbox's table is created with
    /// the first message, where it is missing.
    #[must_use]
    pub fn new(handler: H, pool: SqlitePool) -> Self {
        Self { handler, pool, is_set_up: OnceCell::new() }
    }

    /// Forgets what this consumer received at least `age` ago, by this machine's clock, and says
    /// how many messages that were. Its cost grows with what it deletes, not with what is kept.
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
            let done = sqlx::query(PURGE)
                .bind(self.handler.consumer())
                .bind(age.as_secs_f64())
                .bind(PURGE_SIZE)
                .execute(&self.pool)
                .await
                .map_err(HandleError::unavailable)?;
            purged += done.rows_affected();
            if done.rows_affected() < PURGE_SIZE.cast_unsigned() {
                return Ok(purged);
            }
        }
    }

    async fn set_up(&self) -> Result<(), Error> {
        let set_up = self.is_set_up.get_or_try_init(|| async {
            let mut transaction = self.pool.begin_with(tables::BEGIN).await?;
            tables::create(&mut transaction).await?;
            transaction.commit().await
        });
        set_up.await.copied()
    }

    /// True if the message is new; its row is part of the transaction then.
    async fn remember(
        &self,
        message: &Message,
        connection: &mut SqliteConnection,
    ) -> Result<bool, Error> {
        let done = sqlx::query(REMEMBER)
            .bind(self.handler.consumer())
            .bind(message.id().to_string())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn is_remembered(
        &self,
        message: &Message,
        connection: &mut SqliteConnection,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(IS_REMEMBERED)
            .bind(self.handler.consumer())
            .bind(message.id().to_string())
            .fetch_one(connection)
            .await
    }
}

#[async_trait]
impl<H: InboxHandler<SqliteConnection>> MessageHandler for SqliteInbox<H> {
    fn consumer(&self) -> &str {
        self.handler.consumer()
    }

    fn topics(&self) -> Vec<Topic> {
        self.handler.topics()
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        self.set_up().await.map_err(HandleError::unavailable)?;
        let mut transaction =
            self.pool.begin_with(tables::BEGIN).await.map_err(HandleError::unavailable)?;
        let is_new = self.remember(message, &mut transaction).await;
        if !is_new.map_err(HandleError::unavailable)? {
            return Ok(());
        }
        self.handler.handle(message, &mut transaction).await?;
        if !self.is_remembered(message, &mut transaction).await.map_err(doomed)? {
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
