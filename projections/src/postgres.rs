//! Read models and inboxes in PostgreSQL.

mod statements;
mod tables;

use sqlx::{PgConnection, PgPool, Postgres};

use crate::sql::{SqlInbox, SqlReadModel};
use crate::{Project, ProjectionRunner};

/// An [inbox](SqlInbox) in PostgreSQL.
pub type PostgresInbox<H> = SqlInbox<Postgres, H>;

/// A [read model](SqlReadModel) in PostgreSQL.
pub type PostgresReadModel<P> = SqlReadModel<Postgres, P>;

impl ProjectionRunner {
    /// Keeps the read model of `projection` in PostgreSQL up to date.
    ///
    /// The database need not be the log's. Between two statements `project` has 10 s, then the
    /// server ends the transaction and the page comes again.
    #[must_use]
    pub fn in_postgres<P: Project<PgConnection>>(projection: P, pool: PgPool) -> Self {
        Self::new(PostgresReadModel::new(projection, pool))
    }
}
