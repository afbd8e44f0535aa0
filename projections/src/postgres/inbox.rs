//! Remembers the messages that were handled, in the handler's own PostgreSQL transaction.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::bus::{HandleError, Message, MessageHandler, Topic};
use sqlx::{Error, PgConnection, PgPool};
use tokio::sync::OnceCell;

use super::tables;
use crate::InboxHandler;
use crate::sql_error::may_pass;

/// Comes before the effect: the same message on another connection waits here for the first to end.
const REMEMBER: &str = "
    INSERT INTO highwater_projections.inbox (consumer, message_id) VALUES ($1, $2::uuid)
    ON CONFLICT (consumer, message_id) DO NOTHING";

/// Comes after the effect. In a transaction that a swallowed error has doomed it fails, where COMMIT
/// would roll back and say nothing: the message would be acknowledged without its effect.
const IS_REMEMBERED: &str = "
    SELECT EXISTS (
        SELECT FROM highwater_projections.inbox WHERE consumer = $1 AND message_id = $2::uuid
    )";

/// Takes the oldest by the index `inbox_by_age`, a bounded number at a time.
const PURGE: &str = "
    DELETE FROM highwater_projections.inbox
    WHERE consumer = $1 AND message_id = ANY (ARRAY (
        SELECT message_id FROM highwater_projections.inbox
        WHERE consumer = $1 AND received_at <= now() - make_interval(secs => $2)
        ORDER BY received_at
        LIMIT $3
    ))";

/// How many rows one statement of a purge deletes.
const PURGE_SIZE: i64 = 10_000;

/// Wraps an [`InboxHandler`], so that each message has its effect exactly once.
///
/// The row (consumer, message id) and the effect commit together or not at all; a message that was
/// handled before is acknowledged without effect. Rows are kept until [`PostgresInbox::purge`].
pub struct PostgresInbox<H> {
    handler: H,
    pool: PgPool,
    is_set_up: OnceCell<()>,
}

impl<H: InboxHandler<PgConnection>> PostgresInbox<H> {
    /// Handles messages with `handler` in the database of `pool`. The inbox's table is created with
    /// the first message, where it is missing.
    #[must_use]
    pub fn new(handler: H, pool: PgPool) -> Self {
        Self { handler, pool, is_set_up: OnceCell::new() }
    }

    /// Forgets what this consumer received at least `age` ago, by the database's clock, and says
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
            let mut transaction = self.pool.begin().await?;
            tables::lock_set_up(&mut transaction).await?;
            tables::create(&mut transaction).await?;
            transaction.commit().await
        });
        set_up.await.copied()
    }

    /// True if the message is new; its row is part of the transaction then.
    async fn remember(
        &self,
        message: &Message,
        connection: &mut PgConnection,
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
        connection: &mut PgConnection,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(IS_REMEMBERED)
            .bind(self.handler.consumer())
            .bind(message.id().to_string())
            .fetch_one(connection)
            .await
    }
}

#[async_trait]
impl<H: InboxHandler<PgConnection>> MessageHandler for PostgresInbox<H> {
    fn consumer(&self) -> &str {
        self.handler.consumer()
    }

    fn topics(&self) -> Vec<Topic> {
        self.handler.topics()
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        self.set_up().await.map_err(HandleError::unavailable)?;
        let mut transaction = self.pool.begin().await.map_err(HandleError::unavailable)?;
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
