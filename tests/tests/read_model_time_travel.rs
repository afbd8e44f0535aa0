//! A read model as it was: replayed into a sandbox up to a position, or up to a moment.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::projections::{Project, ProjectError, Projection, ProjectionRunner, ReplayError};
use highwater::{
    Append, Event, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent,
    RecordedEvent, Selection, StreamId, position_at,
};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{SqliteConnection, SqlitePool};

#[derive(Event)]
enum TillEvent {
    #[event(name = "till.paid")]
    Paid { cents: i64 },
}

#[derive(Event)]
enum Noise {
    #[event(name = "noise.made")]
    Made,
}

struct Takings;

impl Projection for Takings {
    type Event = TillEvent;
    const NAME: &'static str = "takings";
}

#[async_trait]
impl Project<SqliteConnection> for Takings {
    async fn prepare(&self, connection: &mut SqliteConnection) -> Result<(), ProjectError> {
        let table = "CREATE TABLE IF NOT EXISTS takings (cents INTEGER NOT NULL)";
        sqlx::query(table).execute(connection).await?;
        Ok(())
    }

    async fn project(
        &self,
        TillEvent::Paid { cents }: &TillEvent,
        _: &RecordedEvent,
        connection: &mut SqliteConnection,
    ) -> Result<(), ProjectError> {
        sqlx::query("INSERT INTO takings VALUES (?)").bind(cents).execute(connection).await?;
        Ok(())
    }
}

/// A database that nobody else uses, and that goes with the test.
async fn sandbox() -> (SqlitePool, ProjectionRunner) {
    let one = SqlitePoolOptions::new().max_connections(1);
    let pool = one.connect("sqlite::memory:").await.expect("a database in memory");
    let runner = ProjectionRunner::in_sqlite(Takings, pool.clone()).with_page_size(3);
    (pool, runner)
}

async fn takings(pool: &SqlitePool) -> Vec<i64> {
    let all = "SELECT cents FROM takings ORDER BY rowid";
    sqlx::query_scalar(all).fetch_all(pool).await.expect("the sandbox's table")
}

/// Payments of 1, 2, 3 … cents, with noise between some of them.
async fn a_log() -> Arc<dyn EventStore> {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
    for cents in 1..=12 {
        let mut events =
            vec![NewEvent::from_event(&TillEvent::Paid { cents }).expect("this is JSON")];
        if cents % 4 == 0 {
            events
                .extend((0..5).map(|_| NewEvent::from_event(&Noise::Made).expect("this is JSON")));
        }
        let till = StreamId::new("till", "1").expect("a valid key");
        store.append(Append::to(till, ExpectedVersion::Any, events)).await.expect("an append");
    }
    store
}

async fn payments_until(store: &dyn EventStore, end: GlobalPosition) -> Vec<i64> {
    let page = store.read_all(&Selection::All, GlobalPosition::START, 100).await.expect("a page");
    let until = page.events.iter().filter(|event| event.position <= end);
    let paid = until.filter(|event| event.event_type.as_str() == "till.paid");
    (1..).take(paid.count()).collect()
}

#[tokio::test]
async fn a_sandbox_shows_what_the_read_model_showed_at_every_position() {
    let store = a_log().await;
    let head = store.high_water_mark().await.unwrap().get();
    // One sandbox for each position, and one that is moved on from position to position.
    let (moving, mover) = sandbox().await;
    for position in (1..=head).map(GlobalPosition::new) {
        let (pool, runner) = sandbox().await;
        assert_eq!(runner.run_until(&store, position).await.unwrap(), position);
        let expected = payments_until(&*store, position).await;
        assert_eq!(takings(&pool).await, expected, "at {position}");
        assert_eq!(mover.run_until(&store, position).await.unwrap(), position);
        assert_eq!(takings(&moving).await, expected, "moved to {position}");
    }
}

#[tokio::test]
async fn a_replay_ends_with_the_log_and_does_not_go_back() {
    let store = a_log().await;
    let head = store.high_water_mark().await.unwrap();
    let (pool, runner) = sandbox().await;
    assert_eq!(runner.run_until(&store, GlobalPosition::new(999)).await.unwrap(), head);
    let before = takings(&pool).await;
    let error = runner.run_until(&store, GlobalPosition::new(3)).await.unwrap_err();
    assert!(matches!(error, ReplayError::Beyond { position, .. } if position == head), "{error}");
    assert!(!error.is_retryable());
    assert_eq!(takings(&pool).await, before);
}

#[tokio::test]
async fn a_moment_stands_for_the_position_of_the_last_event_recorded_by_then() {
    let store = a_log().await;
    let page = store.read_all(&Selection::All, GlobalPosition::START, 100).await.expect("a page");
    for event in &page.events {
        let by_then = page.events.iter().rfind(|it| it.recorded_at <= event.recorded_at);
        let found = position_at(&*store, event.recorded_at).await.unwrap();
        assert_eq!(Some(found), by_then.map(|it| it.position));
    }
    let nothing = position_at(&*store, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(nothing, GlobalPosition::START);
}
