//! A read model in SQLite: a page is one transaction, and the checkpoint is in it.

use async_trait::async_trait;
use highwater_core::{Claim, Page, Selection};
use sqlx::{SqliteConnection, SqlitePool};

use super::checkpoint::Checkpoint;
use super::tables;
use crate::projection::{project_all, selection_of};
use crate::read_model::Turn;
use crate::{Project, ProjectionRunner, ReadModel, ReadModelError, Standing};

/// A read model in SQLite, written by the projection `P`.
///
/// Its checkpoint is the row (`NAME`, `VERSION`) of `highwater_projection_checkpoint`, which is
/// created where it is missing. To build the read model anew, delete that row and empty the read
/// model's tables in one transaction.
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
pub struct SqliteReadModel<P> {
    projection: P,
    pool: SqlitePool,
}

impl ProjectionRunner {
    /// Keeps the read model of `projection` in SQLite up to date.
    ///
    /// The file may be the log's, but appends then wait for pages, and pages for appends: SQLite has
    /// one writer at a time.
    #[must_use]
    pub fn in_sqlite<P: Project<SqliteConnection>>(projection: P, pool: SqlitePool) -> Self {
        Self::new(SqliteReadModel::new(projection, pool))
    }
}

impl<P: Project<SqliteConnection>> SqliteReadModel<P> {
    /// The read model of `projection` in the database of `pool`. Nothing is done yet.
    #[must_use]
    pub fn new(projection: P, pool: SqlitePool) -> Self {
        Self { projection, pool }
    }

    const CHECKPOINT: Checkpoint = Checkpoint { name: P::NAME, version: P::VERSION };

    fn failed(error: sqlx::Error) -> ReadModelError {
        ReadModelError::of_sql(P::NAME, error)
    }
}

#[async_trait]
impl<P: Project<SqliteConnection>> ReadModel for SqliteReadModel<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn selection(&self) -> Selection {
        selection_of::<P>()
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        let mut transaction = self.pool.begin_with(tables::BEGIN).await.map_err(Self::failed)?;
        tables::create(&mut transaction).await.map_err(Self::failed)?;
        let claim = Self::CHECKPOINT.claim(&mut transaction).await.map_err(Self::failed)?;
        let prepared = self.projection.prepare(&mut transaction).await;
        prepared.map_err(|source| ReadModelError::Prepare { name: P::NAME.to_owned(), source })?;
        transaction.commit().await.map_err(Self::failed)?;
        Ok(claim)
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        let mut transaction = self.pool.begin_with(tables::BEGIN).await.map_err(Self::failed)?;
        let standing = Self::CHECKPOINT.lock(&mut transaction).await.map_err(Self::failed)?;
        if Turn::of(standing, claim, page)? == Turn::Done {
            return Ok(());
        }
        project_all(&self.projection, &page.events, &mut *transaction).await?;
        let advanced = Self::CHECKPOINT.advance(&mut transaction, claim, page).await;
        if !advanced.map_err(Self::failed)? {
            return Err(ReadModelError::refused(
                P::NAME,
                "the checkpoint moved within the transaction",
            ));
        }
        transaction.commit().await.map_err(Self::failed)
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        let mut connection = self.pool.acquire().await.map_err(Self::failed)?;
        Self::CHECKPOINT.look(&mut connection).await.map_err(Self::failed)
    }
}
