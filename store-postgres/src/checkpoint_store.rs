//! Checkpoints of consumers beside the log, fenced by epochs.
//!
//! # Invariants
//! 1. A claim raises the epoch in one statement, so no two claimants ever hold the same one.
//! 2. Every write names its epoch, and Postgres checks the name against the row as it is when the
//!    row's lock is granted: a claim that commits while an older claimant's write waits fences it.

use std::error::Error;

use async_trait::async_trait;
use highwater_core::{CheckpointError, CheckpointStore, Claim, GlobalPosition, Payload, Standing};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::batch_arrays::{Json, to_i64};
use crate::recorded_row::{JsonText, from_i64, payload};

const CLAIM: &str = "INSERT INTO highwater.checkpoints AS c (consumer, epoch, position)
    VALUES ($1, 1, 0)
    ON CONFLICT (consumer) DO UPDATE SET epoch = c.epoch + 1, claimed_at = now()
    RETURNING c.epoch, c.position, c.state";

/// No row: the epoch is over. `greatest`: a checkpoint never moves backwards.
const ADVANCE: &str = "UPDATE highwater.checkpoints c
    SET position = greatest(c.position, $3), state = coalesce($4::json, c.state),
        beats = c.beats + 1
    WHERE c.consumer = $1 AND c.epoch = $2";

/// Takes no lock: looking never delays whoever holds the place.
const LOOK: &str = "SELECT c.epoch, c.position, c.beats,
        c.state IS NOT NULL AND c.state::text <> 'null'
    FROM highwater.checkpoints c WHERE c.consumer = $1";

#[async_trait]
impl CheckpointStore for PostgresStore {
    async fn claim(&self, consumer: &str) -> Result<Claim, CheckpointError> {
        let unavailable = |source| unavailable(consumer, source);
        let client = self.reads.get().await.map_err(|error| unavailable(Box::new(error)))?;
        let statement =
            client.prepare_cached(CLAIM).await.map_err(|error| unavailable(Box::new(error)))?;
        let row = client
            .query_one(&statement, &[&consumer])
            .await
            .map_err(|error| unavailable(Box::new(error)))?;
        claim_of(consumer, &row).map_err(unavailable)
    }

    async fn advance(
        &self,
        claim: &Claim,
        position: GlobalPosition,
        state: Option<&Payload>,
    ) -> Result<(), CheckpointError> {
        claim.validate(state)?;
        let consumer = claim.consumer.as_str();
        let unavailable = |source| unavailable(consumer, source);
        let client = self.reads.get().await.map_err(|error| unavailable(Box::new(error)))?;
        let statement =
            client.prepare_cached(ADVANCE).await.map_err(|error| unavailable(Box::new(error)))?;
        let state = state.map(|state| Json::Borrowed(state.as_json()));
        let (epoch, position) = (to_i64(claim.epoch), to_i64(position.get()));
        let changed = client
            .execute(&statement, &[&consumer, &epoch, &position, &state])
            .await
            .map_err(|error| unavailable(Box::new(error)))?;
        if changed == 0 {
            return Err(CheckpointError::Fenced {
                consumer: consumer.to_owned(),
                epoch: claim.epoch,
            });
        }
        Ok(())
    }

    async fn standing(&self, consumer: &str) -> Result<Option<Standing>, CheckpointError> {
        let unavailable = |source| unavailable(consumer, source);
        let client = self.reads.get().await.map_err(|error| unavailable(Box::new(error)))?;
        let statement =
            client.prepare_cached(LOOK).await.map_err(|error| unavailable(Box::new(error)))?;
        let row = client
            .query_opt(&statement, &[&consumer])
            .await
            .map_err(|error| unavailable(Box::new(error)))?;
        let standing = row.as_ref().map(standing_of).transpose();
        standing.map_err(|error| unavailable(Box::new(error)))
    }
}

fn standing_of(row: &Row) -> Result<Standing, tokio_postgres::Error> {
    Ok(Standing {
        epoch: row.try_get::<_, i64>(0)?.unsigned_abs(),
        position: from_i64(row.try_get(1)?),
        beats: row.try_get::<_, i64>(2)?.unsigned_abs(),
        has_state: row.try_get(3)?,
    })
}

fn claim_of(consumer: &str, row: &Row) -> Result<Claim, Box<dyn Error + Send + Sync>> {
    let state: Option<JsonText<'_>> = row.try_get(2)?;
    Ok(Claim {
        consumer: consumer.to_owned(),
        epoch: row.try_get::<_, i64>(0)?.unsigned_abs(),
        position: from_i64(row.try_get(1)?),
        state: state.map(payload).transpose()?,
    })
}

fn unavailable(consumer: &str, source: Box<dyn Error + Send + Sync>) -> CheckpointError {
    CheckpointError::Unavailable { consumer: consumer.to_owned(), source }
}
