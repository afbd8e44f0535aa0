//! The checkpoint's row. Every statement is part of the caller's transaction.

use highwater_core::{Claim, GlobalPosition, Page};
use sqlx::{Error, SqliteConnection};

use crate::Standing;

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

/// Names one checkpoint.
#[derive(Clone, Copy)]
pub(super) struct Checkpoint {
    pub(super) name: &'static str,
    pub(super) version: u32,
}

impl Checkpoint {
    /// Raises the epoch and returns where the checkpoint stands; the first claim creates it.
    pub(super) async fn claim(self, connection: &mut SqliteConnection) -> Result<Claim, Error> {
        let row: (i64, i64) =
            sqlx::query_as(CLAIM).bind(self.name).bind(self.version).fetch_one(connection).await?;
        let Standing { epoch, position, .. } = standing(row);
        Ok(Claim { consumer: self.name.to_owned(), epoch, position, state: None })
    }

    /// Reads the checkpoint before the effects. The transaction writes, so nobody else moves it.
    pub(super) async fn lock(self, connection: &mut SqliteConnection) -> Result<Standing, Error> {
        sqlx::query(OPEN).execute(&mut *connection).await?;
        self.look(connection).await
    }

    /// Moves the checkpoint to the page's end; false if it isn't where the claim left it.
    pub(super) async fn advance(
        self,
        connection: &mut SqliteConnection,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, Error> {
        sqlx::query(IS_OPEN).execute(&mut *connection).await?;
        let done = sqlx::query(ADVANCE)
            .bind(self.name)
            .bind(self.version)
            .bind(page.read_to.get().cast_signed())
            .bind(claim.epoch.cast_signed())
            .bind(claim.position.get().cast_signed())
            .execute(connection)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Reads the checkpoint. One that isn't there has epoch 0.
    pub(super) async fn look(self, connection: &mut SqliteConnection) -> Result<Standing, Error> {
        let row: Option<(i64, i64)> = sqlx::query_as(LOOK)
            .bind(self.name)
            .bind(self.version)
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
