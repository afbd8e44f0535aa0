//! Read models in PostgreSQL do what the suite demands, and what only this database promises.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::projections::{PostgresReadModel, Project, ProjectError, Projection, ReadModel};
use highwater::{GlobalPosition, RecordedEvent};
use highwater_tests::conformance::read_model::given::{
    Tally, TallyEvent, apply_all, assert_is_fold, log_of, next_page,
};
use highwater_tests::conformance::read_model::{ReadModelFactory, Shown};
use highwater_tests::enrol_read_model;
use highwater_tests::services::{self, Database};
use sqlx::{PgConnection, PgPool, query_as, query_scalar};
use tokio::sync::Notify;
use tokio::time::timeout;

enrol_read_model!(postgres, PostgresDatabase::fresh().await);

/// A read model in a database of its own.
struct PostgresDatabase(Database);

impl PostgresDatabase {
    async fn fresh() -> Self {
        Self(services::postgres().await.fresh_database().await)
    }

    async fn pool(&self) -> PgPool {
        PgPool::connect(self.0.url()).await.expect("the database answers")
    }
}

#[async_trait]
impl ReadModelFactory for PostgresDatabase {
    async fn open(&self) -> Arc<dyn ReadModel> {
        Arc::new(PostgresReadModel::new(Tally, self.pool().await))
    }

    async fn shown(&self) -> Shown {
        let pool = self.pool().await;
        let journal: Vec<i64> = query_scalar("SELECT position FROM journal ORDER BY entry")
            .fetch_all(&pool)
            .await
            .expect("the journal");
        let counts: Vec<(String, i64)> =
            query_as("SELECT key, count FROM tally").fetch_all(&pool).await.expect("the counts");
        Shown {
            journal: journal.into_iter().map(i64::cast_unsigned).collect(),
            counts: counts.into_iter().collect(),
        }
    }
}

/// Does to the transaction what its statement says, and doesn't look at what comes of it.
struct Careless(&'static str);

impl Projection for Careless {
    type Event = TallyEvent;
    const NAME: &'static str = "careless";
}

#[async_trait]
impl Project<PgConnection> for Careless {
    async fn project(
        &self,
        _: &TallyEvent,
        _: &RecordedEvent,
        connection: &mut PgConnection,
    ) -> Result<(), ProjectError> {
        let _ = sqlx::raw_sql(self.0).execute(connection).await;
        Ok(())
    }
}

async fn refusal_of(statement: &'static str) -> String {
    let (database, log) = (PostgresDatabase::fresh().await, log_of(2).await);
    let read_model = PostgresReadModel::new(Careless(statement), database.pool().await);
    let claim = read_model.claim().await.expect("a claim");
    let page = next_page(&log, &read_model, &claim, 10).await;
    let refused = read_model.apply(&claim, &page).await.expect_err("it must not pass as a success");
    assert!(!refused.is_retryable());
    let standing = read_model.standing().await.expect("a standing");
    assert_eq!(standing.position, GlobalPosition::START);
    std::error::Error::source(&refused).expect("a cause").to_string()
}

#[tokio::test]
async fn an_error_that_a_projection_swallows_does_not_move_the_checkpoint() {
    let refusal = refusal_of("SELECT 1 / 0").await;
    assert!(refusal.contains("current transaction is aborted"), "{refusal}");
}

#[tokio::test]
async fn a_projection_that_ends_its_transaction_is_found_out() {
    assert_eq!(refusal_of("COMMIT").await, "the projection ended its transaction");
    assert_eq!(refusal_of("ROLLBACK").await, "the projection ended its transaction");
}

/// Stands still inside its transaction for ever, as a frozen process does, and says when it does.
struct Frozen(Arc<Notify>);

impl Projection for Frozen {
    type Event = TallyEvent;
    const NAME: &'static str = "tally";
}

#[async_trait]
impl Project<PgConnection> for Frozen {
    async fn project(
        &self,
        event: &TallyEvent,
        recorded: &RecordedEvent,
        connection: &mut PgConnection,
    ) -> Result<(), ProjectError> {
        Tally.project(event, recorded, connection).await?;
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_process_that_freezes_inside_a_page_holds_its_successor_up_for_ten_seconds_at_most() {
    let (database, log) = (PostgresDatabase::fresh().await, log_of(2).await);
    let successor = database.open().await;
    successor.claim().await.expect("the tables");
    let is_frozen = Arc::new(Notify::new());
    let frozen = PostgresReadModel::new(Frozen(is_frozen.clone()), database.pool().await);
    let former = frozen.claim().await.expect("a claim");
    let page = next_page(&log, &frozen, &former, 10).await;
    let task = tokio::spawn(async move { frozen.apply(&former, &page).await });
    is_frozen.notified().await;
    // Ten seconds on a server that is idle; without the guard it would wait for ever.
    let claim = timeout(Duration::from_secs(60), successor.claim()).await.expect("its turn");
    let claim = claim.expect("the server ends the page");
    apply_all(&log, &*successor, claim).await;
    task.abort();
    assert_is_fold(&database, &log).await;
}

#[tokio::test]
async fn a_role_that_may_not_create_anything_runs_where_an_administrator_has_set_up() {
    let database = PostgresDatabase::fresh().await;
    let pool = database.pool().await;
    PostgresReadModel::new(Careless("SELECT 1"), pool.clone()).claim().await.expect("set up");
    let mut connection = pool.acquire().await.expect("a connection");
    let role = format!("reader_{}", database.0.name());
    let grant = format!(
        "CREATE ROLE {role}; GRANT USAGE ON SCHEMA highwater_projections TO {role};
         GRANT ALL ON ALL TABLES IN SCHEMA highwater_projections TO {role}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(grant)).execute(&mut *connection).await.expect("granted");
    let restricted = sqlx::postgres::PgPoolOptions::new()
        .after_connect({
            let set_role = format!("SET ROLE {role}");
            move |connection, _| {
                let set_role = sqlx::AssertSqlSafe(set_role.clone());
                Box::pin(async move { sqlx::raw_sql(set_role).execute(connection).await.map(drop) })
            }
        })
        .connect(database.0.url())
        .await
        .expect("the database answers");
    let claimed = PostgresReadModel::new(Careless("SELECT 1"), restricted.clone()).claim().await;
    restricted.close().await;
    let clean = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(clean)).execute(&mut *connection).await.expect("cleaned up");
    assert_eq!(claimed.expect("a claim").epoch, 2);
}
