//! Appending in a transaction of the caller's: its own rows and the events are one commit.
//!
//! It is one call of `highwater.append_batch`, as for an append that goes the pipeline's long way, and
//! rests on the same locks:
//!
//! 1. The function takes the watermark lock for the transaction, so from the append to the caller's
//!    commit the mark stands below its events, and readers with it. Writers don't wait for it.
//! 2. The call runs behind a savepoint. What fails is taken back up to there, locks included, and the
//!    transaction can go on. Released, the savepoint leaves its locks to the transaction.
//! 3. A unique violation tells that somebody committed what the function hadn't seen. Taken back and
//!    called again, it sees it, and says which conflict it is.
//! 4. Until the caller commits there is nothing whose outcome could be unknown: a connection that is
//!    lost takes the transaction with it.
//!
//! At the end of a partition the next one is made live on a connection of the store's own. That waits for
//! the appends in flight, the caller's earlier ones among them, and, if there is no next one yet, for
//! whoever has read the log, the caller included: then it gives up, and the caller's transaction, which is
//! told that it can be tried again, has to end first.
//!
//! What only the caller can do wrong (staying open) is watched by `held_mark.rs`.

use std::time::Duration;

use highwater_core::{Append, AppendError, Appended, EventId, RecordedEvent};
use tokio_postgres::{Error, Row, Statement, Transaction};
use uuid::Uuid;

use crate::PostgresStore;
use crate::batch_arrays::BatchArrays;
use crate::batch_writer::{APPEND_BATCH, Report, appended, conflict};
use crate::read_log::BY_ID;
use crate::recorded_row::Rows;
use crate::roll_over::more_than;
use crate::sqlstate::{self, MeaningWithin};

/// How often an append is called again because somebody else committed first. Only one that accepts
/// any version can lose so often.
const TRIES: usize = 20;

/// How long it waits for other appends at the end of a partition.
const PATIENCE_AT_AN_END: Duration = Duration::from_secs(2);

const SAVEPOINT: &str = "SAVEPOINT highwater_append";
const RELEASE: &str = "RELEASE SAVEPOINT highwater_append";
const TAKE_BACK: &str =
    "ROLLBACK TO SAVEPOINT highwater_append; RELEASE SAVEPOINT highwater_append";

/// Under one snapshot the function wouldn't see what was committed while it waited for its locks.
#[derive(Debug, thiserror::Error)]
#[error("events can only be appended in a READ COMMITTED transaction; begin it at that level")]
struct WrongIsolation(#[source] Error);

impl PostgresStore {
    /// Appends within `transaction`, which is the caller's and in this log's database: the caller's
    /// own rows and the events commit together, or neither does.
    ///
    /// A conflict is a typed outcome and leaves the transaction as it was: go on with it or roll it
    /// back. The events are there for nobody else before the commit; afterwards
    /// `store.signal().notify()` wakes this process's readers at once. Without it, and in other
    /// processes, they find the events at their next poll.
    ///
    /// **Append last, and commit at once.** From the append to the commit all readers of the log stop
    /// in front of it, and who appends to the same stream waits. A transaction that stays open longer
    /// than [`PostgresOptions::with_held_mark_warning`](crate::PostgresOptions::with_held_mark_warning)
    /// is warned about by whoever reads the log.
    ///
    /// It takes two round trips, and passes by the pipeline: it shares its commit with nobody.
    ///
    /// # Errors
    /// [`AppendError`], as for [`EventStore::append`](highwater_core::EventStore::append), but never
    /// `OutcomeUnknown`: that is for the commit to say. After `Unavailable` the transaction must be
    /// rolled back, and may be tried again as a whole (a deadlock with another one, say). `Refused`: the
    /// transaction isn't READ COMMITTED, or the database doesn't take the data.
    ///
    /// # Cancel safety
    /// A dropped call may have appended within the transaction: roll that back.
    ///
    /// # Examples
    /// ```no_run
    /// # use highwater_store_postgres::PostgresStore;
    /// # use highwater_core::{Append, EventStore, ExpectedVersion, NewEvent, StreamId};
    /// # async fn close_cart(
    /// #     store: &PostgresStore,
    /// #     client: &mut tokio_postgres::Client,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let transaction = client.transaction().await?;
    /// transaction.execute("UPDATE carts SET state = 'closed' WHERE id = $1", &[&7_i64]).await?;
    /// let placed = NewEvent::new("order.placed", &"a lamp")?;
    /// let append = Append::to(StreamId::new("order", 7)?, ExpectedVersion::NoStream, vec![placed]);
    /// store.append_in(&transaction, append).await?;
    /// transaction.commit().await?;
    /// store.signal().notify();
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append_in(
        &self,
        transaction: &Transaction<'_>,
        append: Append,
    ) -> Result<Appended, AppendError> {
        append.validate()?;
        let arrays = BatchArrays::of(&[&append])
            .map_err(|error| AppendError::Refused { source: Box::new(error) })?;
        let statement = transaction.prepare(APPEND_BATCH).await.map_err(unavailable)?;
        let mut wanted = append.event_count();
        for _ in 0..TRIES {
            match call(transaction, &statement, &arrays).await {
                Ok(row) => return outcome(transaction, &append, &row).await,
                Err(error) if sqlstate::is_end_of_partition(&error) => {
                    self.make_room(wanted, error).await?;
                    wanted = more_than(wanted);
                }
                Err(error) => match sqlstate::of_statement_within(&error) {
                    MeaningWithin::Overtaken => {}
                    MeaningWithin::WrongIsolation => {
                        return Err(AppendError::Refused {
                            source: Box::new(WrongIsolation(error)),
                        });
                    }
                    MeaningWithin::Refused => {
                        return Err(AppendError::Refused { source: Box::new(error) });
                    }
                    MeaningWithin::Unavailable => return Err(unavailable(error)),
                },
            }
        }
        Err(AppendError::Unavailable {
            source: format!("others committed first, {TRIES} times").into(),
        })
    }
}

impl PostgresStore {
    async fn make_room(&self, events: usize, met: Error) -> Result<(), AppendError> {
        match self.end.make_room(events, PATIENCE_AT_AN_END).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(AppendError::Refused { source: Box::new(met) }),
            Err(source) => Err(AppendError::Unavailable { source }),
        }
    }
}

/// Calls the function; what fails is taken back.
async fn call(
    transaction: &Transaction<'_>,
    statement: &Statement,
    arrays: &BatchArrays<'_>,
) -> Result<Row, Error> {
    let parameters = arrays.parameters();
    // Sent one behind the other, without waiting in between: one round trip.
    let (saved, called, released) = futures::join!(
        transaction.batch_execute(SAVEPOINT),
        transaction.query_one(statement, &parameters),
        transaction.batch_execute(RELEASE),
    );
    saved?;
    match called {
        Ok(row) => released.map(|()| row),
        Err(error) => {
            if let Err(failure) = transaction.batch_execute(TAKE_BACK).await {
                // The first error says what happened; a transaction that is gone says so at its end.
                tracing::debug!(%failure, "an append in a transaction could not be taken back");
            }
            Err(error)
        }
    }
}

async fn outcome(
    transaction: &Transaction<'_>,
    append: &Append,
    row: &Row,
) -> Result<Appended, AppendError> {
    let report = Report::read(row).map_err(unavailable)?;
    match report.outcomes.first() {
        Some(0) => {
            let position = report.positions.first().copied();
            Ok(appended(append, &report.heads, position, report.recorded_at))
        }
        Some(1) => Err(conflict(append, &report.heads)),
        Some(2) => repeated(transaction, append).await,
        _ => Err(AppendError::ConditionFailed),
    }
}

/// Looks within the transaction: the earlier try may be a part of it.
async fn repeated(transaction: &Transaction<'_>, append: &Append) -> Result<Appended, AppendError> {
    let ids: Vec<Uuid> = append.events().map(|event| event.id.as_uuid()).collect();
    let rows = transaction.query(BY_ID, &[&ids]).await.map_err(unavailable)?;
    let mut decoder = Rows::of_log();
    let mut found: Vec<RecordedEvent> = Vec::with_capacity(rows.len());
    for row in &rows {
        let read = decoder.decode(row, &mut found);
        read.map_err(|error| AppendError::Unavailable { source: Box::new(error) })?;
    }
    let earlier = Appended::of_earlier_try(append, &found);
    earlier.ok_or_else(|| AppendError::EventIdTaken {
        id: found.first().map_or_else(|| EventId::from_uuid(Uuid::nil()), |taken| taken.id),
    })
}

fn unavailable(error: Error) -> AppendError {
    AppendError::Unavailable { source: Box::new(error) }
}
