//! Checkpoints of consumers: claimed and moved by single statements, each durable when it returns.

use highwater_core::{CheckpointError, Claim, GlobalPosition, Payload, Standing};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::connections::Connections;
use crate::recorded_row::column_number;
use crate::result_code::SqliteFault;

/// Takes a consumer over. Raising the epoch and reading what is stored are one statement, so of two
/// claims at the same moment the later one sees the earlier one's epoch.
pub(crate) async fn claim(
    connections: &Connections,
    consumer: &str,
) -> Result<Claim, CheckpointError> {
    let failed = |fault: SqliteFault| fault.of_checkpoint(consumer);
    let mut writer = connections.writer().await.map_err(failed)?;
    // To the end, not one row only: the statement commits after its last row, and may fail there.
    let rows = sqlx::query(
        "INSERT INTO highwater_checkpoints (consumer, epoch, position) VALUES (?, 1, 0) \
         ON CONFLICT (consumer) DO UPDATE SET epoch = epoch + 1 RETURNING epoch, position, state",
    )
    .bind(consumer)
    .fetch_all(&mut writer.connection)
    .await;
    match rows {
        Ok(rows) => {
            writer.put_back();
            claimed(consumer, rows.first()).map_err(|error| failed(error.into()))
        }
        Err(error) => {
            writer.discard().await;
            Err(failed(error.into()))
        }
    }
}

fn claimed(consumer: &str, row: Option<&SqliteRow>) -> Result<Claim, sqlx::Error> {
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    let state = row.try_get::<Option<String>, _>(2)?.map(Payload::from_json).transpose();
    Ok(Claim {
        consumer: consumer.to_owned(),
        epoch: row.try_get::<i64, _>(0)?.unsigned_abs(),
        position: GlobalPosition::new(row.try_get::<i64, _>(1)?.unsigned_abs()),
        state: state.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
    })
}

/// Moves a checkpoint forward if the claim is still the latest.
pub(crate) async fn advance(
    connections: &Connections,
    claim: &Claim,
    position: GlobalPosition,
    state: Option<&Payload>,
) -> Result<(), CheckpointError> {
    claim.validate(state)?;
    let failed = |fault: SqliteFault| fault.of_checkpoint(&claim.consumer);
    let mut writer = connections.writer().await.map_err(failed)?;
    // The epoch is compared where the row is written: a check before it would let a zombie through.
    let outcome = sqlx::query(
        "UPDATE highwater_checkpoints SET position = max(position, ?), state = coalesce(?, state), \
         beats = beats + 1 WHERE consumer = ? AND epoch = ?",
    )
    .bind(column_number(position.get()))
    .bind(state.map(|state| state.as_json().to_owned()))
    .bind(&claim.consumer)
    .bind(column_number(claim.epoch))
    .execute(&mut writer.connection)
    .await;
    match outcome {
        Ok(done) => {
            writer.put_back();
            if done.rows_affected() == 0 {
                let consumer = claim.consumer.clone();
                return Err(CheckpointError::Fenced { consumer, epoch: claim.epoch });
            }
            Ok(())
        }
        Err(error) => {
            writer.discard().await;
            Err(failed(error.into()))
        }
    }
}

/// Reads who holds a consumer's place and how far they have come. Readers don't wait for the writer,
/// so looking costs nobody anything.
pub(crate) async fn standing(
    connections: &Connections,
    consumer: &str,
) -> Result<Option<Standing>, CheckpointError> {
    let row: Option<(i64, i64, i64, bool)> = sqlx::query_as(
        "SELECT epoch, position, beats, state IS NOT NULL AND state <> 'null' \
         FROM highwater_checkpoints WHERE consumer = ?",
    )
    .bind(consumer)
    .fetch_optional(&connections.readers)
    .await
    .map_err(|error| SqliteFault::from(error).of_checkpoint(consumer))?;
    Ok(row.map(|(epoch, position, beats, has_state)| Standing {
        epoch: epoch.unsigned_abs(),
        position: GlobalPosition::new(position.unsigned_abs()),
        beats: beats.unsigned_abs(),
        has_state,
    }))
}
