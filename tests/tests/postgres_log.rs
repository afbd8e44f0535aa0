//! What the Postgres log promises beyond the conformance suite, and why each rule of its is there:
//! load with aborts, foreign transactions, the watermark's rules one by one, connections killed at
//! commit, races for a condition.

#[path = "postgres_log/conditions.rs"]
mod conditions;
#[path = "postgres_log/hot_tag.rs"]
mod hot_tag;
#[path = "postgres_log/opening.rs"]
mod opening;
#[path = "postgres_log/partitions.rs"]
mod partitions;
#[path = "postgres_log/raw_session.rs"]
mod raw_session;
#[path = "postgres_log/round_trips.rs"]
mod round_trips;
#[path = "postgres_log/short_ways.rs"]
mod short_ways;
#[path = "postgres_log/turns.rs"]
mod turns;
#[path = "postgres_log/under_load.rs"]
mod under_load;
#[path = "postgres_log/waiting.rs"]
mod waiting;
#[path = "postgres_log/watermark.rs"]
mod watermark;

use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{
    Append, AppendCondition, AppendError, EventId, EventStore, ExpectedVersion, GlobalPosition,
    NewEvent, Query, QueryItem, Selection, StreamId, StreamVersion, Tag,
};
use highwater_tests::services::{self, Database};
use raw_session::{Session, Way};

/// Environment variable: how long the tests under load run, in seconds.
const SECONDS: &str = "HIGHWATER_TEST_SECONDS";
/// What bounds a wait that a broken store would never end.
const PATIENCE: Duration = Duration::from_secs(60);

fn load_time() -> Duration {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

async fn database() -> Database {
    services::postgres().await.fresh_database().await
}

async fn open(database: &Database) -> Arc<PostgresStore> {
    PostgresStore::connect(database.url()).await.expect("a log")
}

fn stream(key: impl std::fmt::Display) -> StreamId {
    StreamId::new("test", key).expect("a valid key")
}

fn event(event_type: &str) -> NewEvent {
    NewEvent::new(event_type, &()).expect("unit is JSON")
}

fn tag(value: &str) -> Tag {
    Tag::new("about", value).expect("a valid tag")
}

fn to(key: impl std::fmt::Display) -> Append {
    Append::to(stream(key), ExpectedVersion::Any, vec![event("tested")])
}

async fn ids_of_all(store: &PostgresStore) -> Vec<EventId> {
    let page = store.read_all(&Selection::All, GlobalPosition::START, 1_000).await;
    page.expect("a page").events.iter().map(|event| event.id).collect()
}

fn ids(append: &Append) -> Vec<EventId> {
    append.events().map(|event| event.id).collect()
}
