//! A read model in PostgreSQL: a page is one transaction, and the checkpoint is in it.

use async_trait::async_trait;
use highwater_core::{Claim, Page, Selection};
use sqlx::{PgConnection, PgPool};

use super::checkpoint::Checkpoint;
use super::tables;
use crate::projection::{project_all, selection_of};
use crate::read_model::Turn;
use crate::{Project, ProjectionRunner, ReadModel, ReadModelError, Standing};

/// A read model in PostgreSQL, written by the projection `P`.
///
/// Its checkpoint is the row (`NAME`, `VERSION`) of `highwater_projections.checkpoint`, which is
/// created where it is missing. To build the read model anew, delete that row and empty the read
/// model's tables in one transaction.
pub struct PostgresReadModel<P> {
    projection: P,
    pool: PgPool,
}

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

impl<P: Project<PgConnection>> PostgresReadModel<P> {
    /// The read model of `projection` in the database of `pool`. Nothing is done yet.
    #[must_use]
    pub fn new(projection: P, pool: PgPool) -> Self {
        Self { projection, pool }
    }

    const CHECKPOINT: Checkpoint = Checkpoint { name: P::NAME, version: P::VERSION };

    fn failed(error: sqlx::Error) -> ReadModelError {
        ReadModelError::of_sql(P::NAME, error)
    }
}

#[async_trait]
impl<P: Project<PgConnection>> ReadModel for PostgresReadModel<P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn selection(&self) -> Selection {
        selection_of::<P>()
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        let mut transaction = self.pool.begin().await.map_err(Self::failed)?;
        tables::lock_set_up(&mut transaction).await.map_err(Self::failed)?;
        tables::create(&mut transaction).await.map_err(Self::failed)?;
        // The checkpoint before `prepare`: a page in flight locks them in this order too.
        let claim = Self::CHECKPOINT.claim(&mut transaction).await.map_err(Self::failed)?;
        let prepared = self.projection.prepare(&mut transaction).await;
        prepared.map_err(|source| ReadModelError::Prepare { name: P::NAME.to_owned(), source })?;
        transaction.commit().await.map_err(Self::failed)?;
        Ok(claim)
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        let mut transaction = self.pool.begin().await.map_err(Self::failed)?;
        let standing = Self::CHECKPOINT.lock(&mut transaction).await.map_err(Self::failed)?;
        if Turn::of(standing, claim, page)? == Turn::Done {
            return Ok(());
        }
        project_all(&self.projection, &page.events, &mut *transaction).await?;
        let advanced = Self::CHECKPOINT.advance(&mut transaction, claim, page).await;
        if !advanced.map_err(Self::failed)? {
            return Err(ReadModelError::refused(P::NAME, "the projection ended its transaction"));
        }
        transaction.commit().await.map_err(Self::failed)
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        let mut connection = self.pool.acquire().await.map_err(Self::failed)?;
        Self::CHECKPOINT.look(&mut connection).await.map_err(Self::failed)
    }
}
