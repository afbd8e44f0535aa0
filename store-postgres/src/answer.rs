//! Waits for the answer to a statement, and no longer than it can take.

use std::time::Duration;

use deadpool_postgres::{Client, Object};
use tokio::time::error::Elapsed;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

/// What a server that says nothing at all is given beyond the time that it has.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// Asks for one row. Whoever waits in vain doesn't know what became of the statement.
pub(crate) async fn one_row(
    client: Client,
    statement: &Statement,
    parameters: &[&(dyn ToSql + Sync)],
    patience: Duration,
) -> Result<Result<Row, Error>, Elapsed> {
    let answered = tokio::time::timeout(patience, client.query_one(statement, parameters)).await;
    if answered.is_err() {
        // Nobody may get this connection next: its answer is still to come.
        drop(Object::take(client));
    }
    answered
}
