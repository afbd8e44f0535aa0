//! The statements of read models and inboxes in SQLite.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{Claim, Page};
use sqlx::{Error, Sqlite, SqliteConnection, SqlitePool, Transaction};

use super::tables;
use crate::Standing;
use crate::sql::{Checkpoint, SqlDatabase, standing};

/// Begins a transaction that writes. A deferred one could fail half-way with SQLITE_BUSY, because
/// another wrote since its first read; this one waits at its beginning instead.
const BEGIN: &str = "BEGIN IMMEDIATE";

const CLAIM: &str = "
    INSERT INTO highwater_projection_checkpoint (name, version, epoch, position)
    VALUES (?1, ?2, 1, 0)
    ON CONFLICT (name, version) DO UPDATE SET epoch = epoch + 1
    RETURNING epoch, position";

const LOOK: &str = "
    SELECT epoch, position FROM highwater_projection_checkpoint
    WHERE name = ?1 AND version = ?2";

const ADVANCE: &str = "
    UPDATE highwater_projection_checkpoint SET position = ?3
    WHERE name = ?1 AND version = ?2 AND epoch = ?4 AND position = ?5";

/// Stands as long as the transaction. Some errors make SQLite roll back by itself; if the projection
/// swallowed one, the statements behind it would commit one by one, the checkpoint first of all.
const OPEN: &str = "SAVEPOINT highwater_page";
/// Fails unless the transaction is still the one of [`OPEN`].
const IS_OPEN: &str = "RELEASE highwater_page";

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

#[async_trait]
impl SqlDatabase for Sqlite {
    async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, Error> {
        pool.begin_with(BEGIN).await
    }

    async fn create_tables(connection: &mut SqliteConnection) -> Result<(), Error> {
        tables::create(connection).await
    }

    async fn claim(
        checkpoint: Checkpoint,
        connection: &mut SqliteConnection,
    ) -> Result<Standing, Error> {
        let row = sqlx::query_as(CLAIM)
            .bind(checkpoint.name)
            .bind(i64::from(checkpoint.version))
            .fetch_one(connection)
            .await?;
        Ok(standing(Some(row)))
    }

    /// The transaction writes, so nobody else moves the checkpoint.
    async fn lock(
        checkpoint: Checkpoint,
        connection: &mut SqliteConnection,
    ) -> Result<Standing, Error> {
        sqlx::query(OPEN).execute(&mut *connection).await?;
        Self::look(checkpoint, connection).await
    }

    async fn advance(
        checkpoint: Checkpoint,
        connection: &mut SqliteConnection,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, Error> {
        sqlx::query(IS_OPEN).execute(&mut *connection).await?;
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
        connection: &mut SqliteConnection,
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
        connection: &mut SqliteConnection,
    ) -> Result<bool, Error> {
        let done = sqlx::query(REMEMBER).bind(consumer).bind(message).execute(connection).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn is_remembered(
        consumer: &str,
        message: &str,
        connection: &mut SqliteConnection,
    ) -> Result<bool, Error> {
        sqlx::query_scalar(IS_REMEMBERED).bind(consumer).bind(message).fetch_one(connection).await
    }

    async fn purge(
        consumer: &str,
        age: Duration,
        at_most: i64,
        pool: &SqlitePool,
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
