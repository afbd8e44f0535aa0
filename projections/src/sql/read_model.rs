//! A read model in an SQL database: a page is one transaction, and the checkpoint is in it.

use async_trait::async_trait;
use highwater_core::{Claim, Page, Selection};
use sqlx::Pool;

use super::{Checkpoint, SqlDatabase};
use crate::projection::{project_all, selection_of};
use crate::read_model::Turn;
use crate::{Project, ReadModel, ReadModelError, Standing};

/// A read model in a database, written by the projection `P`.
///
/// Its checkpoint is the row (`NAME`, `VERSION`) of `highwater_projections.checkpoint` in
/// PostgreSQL, of `highwater_projection_checkpoint` in SQLite; the table is created where it is
/// missing. To build the read model anew, delete that row and empty the read model's tables in one
/// transaction.
///
/// The row knows no tenant. Read models of one name that two tenants' applications keep, each behind
/// a [`TenantStore`](highwater_core::TenantStore), need a database each: in one they would take the
/// checkpoint from each other and pass over events.
pub struct SqlReadModel<DB: SqlDatabase, P> {
    projection: P,
    pool: Pool<DB>,
}

impl<DB: SqlDatabase, P: Project<DB::Connection>> SqlReadModel<DB, P> {
    /// The read model of `projection` in the database of `pool`. Nothing is done yet.
    #[must_use]
    pub fn new(projection: P, pool: Pool<DB>) -> Self {
        Self { projection, pool }
    }

    const CHECKPOINT: Checkpoint = Checkpoint { name: P::NAME, version: P::VERSION };

    fn failed(error: sqlx::Error) -> ReadModelError {
        ReadModelError::of_sql(P::NAME, error)
    }
}

#[async_trait]
impl<DB: SqlDatabase, P: Project<DB::Connection>> ReadModel for SqlReadModel<DB, P> {
    fn name(&self) -> &str {
        P::NAME
    }

    fn selection(&self) -> Selection {
        selection_of::<P>()
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        let mut transaction = DB::begin(&self.pool).await.map_err(Self::failed)?;
        DB::create_tables(&mut transaction).await.map_err(Self::failed)?;
        // The checkpoint before `prepare`: a page in flight locks them in this order too.
        let claimed = DB::claim(Self::CHECKPOINT, &mut transaction).await;
        let Standing { epoch, position, .. } = claimed.map_err(Self::failed)?;
        let prepared = self.projection.prepare(&mut transaction).await;
        prepared.map_err(|source| ReadModelError::Prepare { name: P::NAME.to_owned(), source })?;
        transaction.commit().await.map_err(Self::failed)?;
        Ok(Claim { consumer: P::NAME.to_owned(), epoch, position, state: None })
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        let mut transaction = DB::begin(&self.pool).await.map_err(Self::failed)?;
        let standing = DB::lock(Self::CHECKPOINT, &mut transaction).await.map_err(Self::failed)?;
        if Turn::of(standing, claim, page)? == Turn::Done {
            return Ok(());
        }
        project_all(&self.projection, &page.events, &mut *transaction).await?;
        let advanced = DB::advance(Self::CHECKPOINT, &mut transaction, claim, page).await;
        if !advanced.map_err(Self::failed)? {
            return Err(ReadModelError::refused(P::NAME, "the projection ended its transaction"));
        }
        transaction.commit().await.map_err(Self::failed)
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        let mut connection = self.pool.acquire().await.map_err(Self::failed)?;
        DB::look(Self::CHECKPOINT, &mut connection).await.map_err(Self::failed)
    }
}
