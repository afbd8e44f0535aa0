//! A log in partitions, on a real server: it keeps every promise of a log in one table, its unique
//! versions and ids hold over all partitions while many processes add them, and old ones leave it whole.
//!
//! The partitions are tiny, so that hundreds of them come and go in seconds.

#[path = "partitions/attaching.rs"]
mod attaching;
#[path = "partitions/broken.rs"]
mod broken;
#[path = "partitions/cancelled.rs"]
mod cancelled;
#[path = "partitions/conformance.rs"]
mod conformance;
#[path = "partitions/growing.rs"]
mod growing;
#[path = "partitions/race.rs"]
mod race;
#[path = "partitions/removal.rs"]
mod removal;

use std::sync::Arc;
use std::time::Duration;

use highwater::postgres::{PartitionState, PostgresStore};
use highwater_tests::services::{self, Database};
use tokio_postgres::{Client, NoTls};

/// What bounds a wait that a broken store would never end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A log whose partitions have room for so many events.
async fn log_in_partitions_of(events: u64) -> (Database, Arc<PostgresStore>) {
    let database = services::postgres().await.fresh_database().await;
    let store = open(&database).await;
    store.partition_log_finely(events).await.expect("a log in partitions");
    (database, store)
}

async fn open(database: &Database) -> Arc<PostgresStore> {
    PostgresStore::connect(database.url()).await.expect("a log")
}

async fn session(database: &Database) -> Client {
    let (client, connection) =
        tokio_postgres::connect(database.url(), NoTls).await.expect("a session");
    tokio::spawn(async move {
        // A session that a test cuts off ends with an error, as the test wants it to.
        let _ = connection.await;
    });
    client
}

async fn run(client: &Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql).await {
        panic!("{sql}: {error:?}");
    }
}

async fn number(client: &Client, sql: &str) -> i64 {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

async fn until(client: &Client, question: &str) {
    let answered = async {
        while !client.query_one(question, &[]).await.expect("an answer").get::<_, bool>(0) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it became true");
}

/// Who came to the end of one partition sees to it in the background that another is there.
const HAS_NEXT: &str = "SELECT EXISTS (SELECT FROM highwater.log_partitions WHERE state = 'next')";

/// The numbers of the partitions in a state.
async fn partitions(store: &PostgresStore, state: PartitionState) -> Vec<u32> {
    let all = store.partitions().await.expect("the partitions");
    all.into_iter().filter(|it| it.state == state).map(|it| it.number).collect()
}
