//! The statements of read models and inboxes in PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{Claim, Page};
use sqlx::{Error, PgConnection, PgPool, Postgres, Transaction};

use super::tables;
use crate::Standing;
use crate::sql::{Checkpoint, SqlDatabase, standing};

/// Waits for a page in flight (it holds the row), so the claim sees where that page ended.
const CLAIM: &str = "
    INSERT INTO highwater_projections.checkpoint AS stored (name, version, epoch, position)
    VALUES ($1, $2, 1, 0)
    ON CONFLICT (name, version) DO UPDATE SET epoch = stored.epoch + 1
    RETURNING epoch, position";

/// Locks the row before any effect: of two runners, one waits here instead of writing effects that
/// it would have to take back, or that deadlock with the other's.
///
/// A process that freezes inside the transaction would keep the row, and with it every successor,
/// waiting; so the server ends a transaction in which nothing happens for 10 s. `highwater.page`
/// lasts as long as the transaction, which is how `ADVANCE` knows that it is still the same one.
const LOCK: &str = "
    SELECT epoch, position,
        set_config('idle_in_transaction_session_timeout', '10s', true),
        set_config('highwater.page', 'open', true)
    FROM highwater_projections.checkpoint
    WHERE name = $1 AND version = $2
    FOR UPDATE";

/// Comes after the effects: it fails in a transaction that a swallowed error has doomed, where
/// COMMIT would roll back and say nothing. Where the projection ended the transaction itself, half a
/// page may stand without its checkpoint: that must not pass as a success.
const ADVANCE: &str = "
    UPDATE highwater_projections.checkpoint SET position = $3
    WHERE name = $1 AND version = $2 AND epoch = $4 AND position = $5
        AND current_setting('highwater.page', true) = 'open'";

const LOOK: &str = "
    SELECT epoch, position FROM highwater_projections.checkpoint
    WHERE name = $1 AND version = $2";

/// Comes before the effect: the same message on another connection waits here for the first to end. As
/// for a page, a process that freezes doesn't hold its successor up for ever; a handler may call somebody
/// from within its transaction, so it has a minute.
const REMEMBER: &str = "
    WITH guarded AS MATERIALIZED (
        SELECT set_config('idle_in_transaction_session_timeout', '1min', true)
    )
    INSERT INTO highwater_projections.inbox (consumer, message_id)
    SELECT $1, $2::uuid FROM guarded
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

#[async_trait]
impl SqlDatabase for Postgres {
    async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Error> {
        pool.begin().await
    }

    async fn create_tables(connection: &mut PgConnection) -> Result<(), Error> {
        tables::lock_set_up(connection).await?;
        tables::create(connection).await
    }

    async fn claim(
        checkpoint: Checkpoint,
        connection: &mut PgConnection,
    ) -> Result<Standing, Error> {
        let row = sqlx::query_as(CLAIM)
            .bind(checkpoint.name)
            .bind(i64::from(checkpoint.version))
            .fetch_one(connection)
            .await?;
        Ok(standing(Some(row)))
    }

    async fn lock(
        checkpoint: Checkpoint,
        connection: &mut PgConnection,
    ) -> Result<Standing, Error> {
        let row: Option<(i64, i64, String, String)> = sqlx::query_as(LOCK)
            .bind(checkpoint.name)
            .bind(i64::from(checkpoint.version))
            .fetch_optional(connection)
            .await?;
        Ok(standing(row.map(|(epoch, position, ..)| (epoch, position))))
    }

    async fn advance(
        checkpoint: Checkpoint,
        connection: &mut PgConnection,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, Error> {
        let done = sqlx::query(ADVANCE)
            .bind(checkpoint.name)
            .bind(i64::from(checkpoint.version))
            .bind(page.read_to.get().cast_signed())
            .bind(claim.epoch.cast_signed())
            .bind(claim.position.get().cast_signed())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn look(
        checkpoint: Checkpoint,
        connection: &mut PgConnection,
    ) -> Result<Standing, Error> {
        let row = sqlx::query_as(LOOK)
            .bind(checkpoint.name)
            .bind(i64::from(checkpoint.version))
            .fetch_optional(connection)
            .await?;
        Ok(standing(row))
    }

    async fn remember(
        consumer: &str,
        message: &str,
        connection: &mut PgConnection,
    ) -> Result<bool, Error> {
        let done = sqlx::query(REMEMBER).bind(consumer).bind(message).execute(connection).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn is_remembered(
        consumer: &str,
        message: &str,
        connection: &mut PgConnection,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(IS_REMEMBERED).bind(consumer).bind(message).fetch_one(connection).await
    }

    async fn purge(
        consumer: &str,
        age: Duration,
        at_most: i64,
        pool: &PgPool,
    ) -> Result<u64, Error> {
        let done = sqlx::query(PURGE)
            .bind(consumer)
            .bind(age.as_secs_f64())
            .bind(at_most)
            .execute(pool)
            .await?;
        Ok(done.rows_affected())
    }
}
