//! The checkpoint's row. Every statement is part of the caller's transaction.

use highwater_core::{Claim, GlobalPosition, Page};
use sqlx::{Error, PgConnection};

use crate::Standing;

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

/// Names one checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Checkpoint {
    pub(super) name: &'static str,
    pub(super) version: u32,
}

impl Checkpoint {
    /// Raises the epoch and returns where the checkpoint stands; the first claim creates it.
    pub(super) async fn claim(self, connection: &mut PgConnection) -> Result<Claim, Error> {
        let row: (i64, i64) = sqlx::query_as(CLAIM)
            .bind(self.name)
            .bind(i64::from(self.version))
            .fetch_one(connection)
            .await?;
        let Standing { epoch, position, .. } = standing(row);
        Ok(Claim { consumer: self.name.to_owned(), epoch, position, state: None })
    }

    /// Locks the checkpoint until the transaction ends. One that is gone has epoch 0.
    pub(super) async fn lock(self, connection: &mut PgConnection) -> Result<Standing, Error> {
        let row: Option<(i64, i64, String, String)> = sqlx::query_as(LOCK)
            .bind(self.name)
            .bind(i64::from(self.version))
            .fetch_optional(connection)
            .await?;
        Ok(row.map_or(Standing::default(), |(epoch, position, ..)| standing((epoch, position))))
    }

    /// Moves the checkpoint to the page's end; false if the transaction isn't the one of the lock.
    pub(super) async fn advance(
        self,
        connection: &mut PgConnection,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, Error> {
        let done = sqlx::query(ADVANCE)
            .bind(self.name)
            .bind(i64::from(self.version))
            .bind(page.read_to.get().cast_signed())
            .bind(claim.epoch.cast_signed())
            .bind(claim.position.get().cast_signed())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Reads the checkpoint. One that isn't there has epoch 0.
    pub(super) async fn look(self, connection: &mut PgConnection) -> Result<Standing, Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(LOOK)
            .bind(self.name)
            .bind(i64::from(self.version))
            .fetch_optional(connection)
            .await?;
        Ok(row.map_or(Standing::default(), standing))
    }
}

fn standing((epoch, position): (i64, i64)) -> Standing {
    Standing {
        epoch: epoch.cast_unsigned(),
        position: GlobalPosition::new(position.cast_unsigned()),
        beats: 0,
    }
}
