//! Creates what this room keeps in the read model's database: the schema `highwater_projections`.

use sqlx::{Error, PgConnection};

/// Any number that nobody else is likely to lock.
const SET_UP_LOCK: i64 = 0x6877_7072_6f6a;

const ARE_THERE: &str = "SELECT to_regclass('highwater_projections.checkpoint') IS NOT NULL
    AND to_regclass('highwater_projections.inbox') IS NOT NULL";

const CREATE: &str = "
    CREATE SCHEMA IF NOT EXISTS highwater_projections;
    CREATE TABLE IF NOT EXISTS highwater_projections.checkpoint (
        name text NOT NULL,
        version bigint NOT NULL,
        epoch bigint NOT NULL,
        position bigint NOT NULL,
        PRIMARY KEY (name, version)
    );
    CREATE TABLE IF NOT EXISTS highwater_projections.inbox (
        consumer text NOT NULL,
        message_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, message_id)
    );
    CREATE INDEX IF NOT EXISTS inbox_by_age
        ON highwater_projections.inbox (consumer, received_at);";

/// Lets one process at a time set up, until the end of the transaction.
///
/// `CREATE … IF NOT EXISTS` alone isn't safe against itself: two at once can both find nothing, and
/// the later one fails on a unique index of the catalogue. A process that freezes while it has the lock
/// loses it after ten seconds.
pub(super) async fn lock_set_up(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(
        "SELECT set_config('idle_in_transaction_session_timeout', '10s', true),
            pg_advisory_xact_lock($1)",
    )
    .bind(SET_UP_LOCK)
    .execute(connection)
    .await
    .map(drop)
}

/// Creates the tables unless they are there. The caller holds the lock.
///
/// It looks first, because `CREATE SCHEMA IF NOT EXISTS` demands the right to create one even where
/// an administrator has already done it.
pub(super) async fn create(connection: &mut PgConnection) -> Result<(), Error> {
    let are_there: bool = sqlx::query_scalar(ARE_THERE).fetch_one(&mut *connection).await?;
    if !are_there {
        sqlx::raw_sql(CREATE).execute(connection).await?;
    }
    Ok(())
}
