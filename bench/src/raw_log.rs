//! The baseline: what one writes without a framework.
//!
//! One prepared INSERT per transaction into a table with an identity position and a unique
//! (stream, version), one connection per writer. It protects no reader: a tailing one loses events.

use std::sync::Arc;

use highwater_tests::services::Database;
use tokio_postgres::{Client, NoTls, Statement};

const SCHEMA: &str = "
    CREATE TABLE events (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        stream_id text COLLATE \"C\" NOT NULL,
        version bigint NOT NULL,
        type text COLLATE \"C\" NOT NULL,
        data json NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (stream_id, version))";
const INSERT: &str = "
    INSERT INTO events (stream_id, version, type, data)
    VALUES ($1, $2, 'deposited', $3::text::json)";

/// One connection to a hand-written log.
#[derive(Clone)]
pub struct RawWriter {
    client: Arc<Client>,
    insert: Statement,
}

impl RawWriter {
    /// Connects `count` writers to a fresh table in `database`.
    pub async fn connect(database: &Database, count: usize) -> Vec<Self> {
        let client = connect(database.url()).await;
        client.batch_execute(SCHEMA).await.expect("a fresh database takes a table");
        let mut writers = Vec::with_capacity(count);
        for _ in 0..count {
            let client = Arc::new(connect(database.url()).await);
            let insert = client.prepare(INSERT).await.expect("the table is there");
            writers.push(Self { client, insert });
        }
        writers
    }

    /// Inserts one event in a transaction of its own.
    pub async fn insert(&self, stream: &str, version: i64, data: &str) {
        self.client
            .execute(&self.insert, &[&stream, &version, &data])
            .await
            .expect("nobody else writes this version");
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.expect("the benchmark's Postgres answers");
    // Ends when the client is dropped.
    tokio::spawn(connection);
    client
}
