//! Read models and inboxes in SQLite.

mod statements;
mod tables;

use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use crate::sql::{SqlInbox, SqlReadModel};
use crate::{Project, ProjectionRunner};

/// An [inbox](SqlInbox) in SQLite.
pub type SqliteInbox<H> = SqlInbox<Sqlite, H>;

/// A [read model](SqlReadModel) in SQLite.
pub type SqliteReadModel<P> = SqlReadModel<Sqlite, P>;

impl ProjectionRunner {
    /// Keeps the read model of `projection` in SQLite up to date.
    ///
    /// The file may be the log's, but appends then wait for pages, and pages for appends: SQLite has
    /// one writer at a time.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// use async_trait::async_trait;
    /// use highwater::projections::{Project, ProjectError, Projection, ProjectionRunner};
    /// use highwater::{
    ///     Append, Event, ExpectedVersion, Highwater, MemoryStore, NewEvent, RecordedEvent, StreamId,
    /// };
    /// use sqlx::SqliteConnection;
    /// use sqlx::sqlite::SqlitePoolOptions;
    ///
    /// #[derive(Event)]
    /// enum OrderEvent {
    ///     #[event(name = "order.placed")]
    ///     Placed { cents: i64 },
    /// }
    ///
    /// struct Turnover;
    ///
    /// impl Projection for Turnover {
    ///     type Event = OrderEvent;
    ///     const NAME: &'static str = "turnover";
    /// }
    ///
    /// #[async_trait]
    /// impl Project<SqliteConnection> for Turnover {
    ///     async fn prepare(&self, connection: &mut SqliteConnection) -> Result<(), ProjectError> {
    ///         let table = "CREATE TABLE IF NOT EXISTS turnover (cents INTEGER NOT NULL)";
    ///         sqlx::query(table).execute(connection).await?;
    ///         Ok(())
    ///     }
    ///
    ///     async fn project(
    ///         &self,
    ///         event: &OrderEvent,
    ///         _: &RecordedEvent,
    ///         connection: &mut SqliteConnection,
    ///     ) -> Result<(), ProjectError> {
    ///         let OrderEvent::Placed { cents } = event;
    ///         let insert = sqlx::query("INSERT INTO turnover VALUES (?1)").bind(cents);
    ///         insert.execute(connection).await?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # // One connection: each connection to `:memory:` has a database of its own.
    /// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// let app = Highwater::builder(Arc::new(MemoryStore::new()))
    ///     .host(ProjectionRunner::in_sqlite(Turnover, pool.clone()))
    ///     .start()?;
    ///
    /// let placed = NewEvent::from_event(&OrderEvent::Placed { cents: 1_200 })?;
    /// let order = StreamId::new("order", "1")?;
    /// let append = Append::to(order, ExpectedVersion::NoStream, vec![placed]);
    /// let appended = app.store().append(append).await?;
    ///
    /// app.caught_up("turnover", appended.position, Duration::from_secs(10)).await?;
    /// let cents: i64 = sqlx::query_scalar("SELECT SUM(cents) FROM turnover").fetch_one(&pool).await?;
    /// assert_eq!(cents, 1_200);
    /// app.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_sqlite<P: Project<SqliteConnection>>(projection: P, pool: SqlitePool) -> Self {
        Self::new(SqliteReadModel::new(projection, pool))
    }
}
