//! What starting an application answers, and waiting for a part of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::schema::{Compatibility, EventSchemas};
use highwater::sqlite::SqliteStore;
use highwater::{
    CaughtUpError, Component, ComponentContext, ComponentError, Event, EventStore, GlobalPosition,
    Highwater, MemoryStore, StartError, StoreLayer,
};
use sqlx::Connection;

/// A component that does nothing until it is told to end.
struct Idle;

#[async_trait]
impl Component for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        context.shutdown.cancelled().await;
        Ok(())
    }
}

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

#[tokio::test]
async fn two_components_of_one_name_do_not_start() {
    let started = Highwater::builder(store()).host(Idle).host(Idle).start();
    let refusal = started.map(drop).expect_err("one name for two");
    assert_eq!(refusal, StartError::NameTwice("idle".to_owned()));
    assert!(!refusal.is_retryable());
}

#[test]
fn nothing_starts_outside_of_a_runtime() {
    let refusal = Highwater::builder(store()).host(Idle).start().map(drop);
    assert_eq!(refusal, Err(StartError::NoRuntime));
}

/// A store that keeps no schemas.
struct Bare(Arc<MemoryStore>);

impl StoreLayer for Bare {
    fn inner(&self) -> &dyn EventStore {
        &*self.0
    }

    fn schemas(&self) -> Option<&dyn highwater::schema::SchemaStore> {
        None
    }
}

#[derive(Event)]
#[event(schema)]
pub(crate) enum Described {
    #[event(name = "thing.described")]
    Described { words: String },
}

#[tokio::test]
async fn events_that_can_not_be_compared_do_not_start() {
    let with_schemas = async |store: Arc<dyn EventStore>| {
        let schemas = EventSchemas::of::<Described>();
        let built = Highwater::builder(store).event_schemas(schemas, Compatibility::Backward).await;
        built.map(drop).expect_err("nothing to compare with")
    };
    let error = with_schemas(Arc::new(Bare(store()))).await;
    assert!(matches!(error, StartError::NoSchemaStore), "{error:?}");
    assert!(!error.is_retryable());
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    let mut owner = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .expect("a file");
    sqlx::raw_sql("DROP TABLE highwater_event_schemas").execute(&mut owner).await.expect("damage");
    let error = with_schemas(store).await;
    assert!(matches!(error, StartError::SchemasNotKept { .. }), "{error:?}");
}

#[tokio::test]
async fn waiting_for_nobody_and_for_somebody_who_stands_still_ends() {
    let app = Highwater::builder(store()).host(Idle).start().expect("it starts");
    let (far, patience) = (GlobalPosition::new(9), Duration::from_millis(20));
    let nobody = app.caught_up("nobody", far, patience).await;
    assert!(matches!(&nobody, Err(CaughtUpError::Unknown(name)) if name == "nobody"), "{nobody:?}");
    let still = app.caught_up("idle", far, patience).await;
    assert!(
        matches!(&still, Err(CaughtUpError::TimedOut { wanted, waited_ms: 20, .. }) if *wanted == far),
        "{still:?}"
    );
    app.shutdown().await;
}
