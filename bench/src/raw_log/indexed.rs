//! The table by hand once more, with what Highwater's has beyond it: an id for each event that can't be
//! given twice, and an index by type. What is left of the distance isn't the indexes'.

use std::sync::Arc;

use futures::future::join_all;
use highwater_tests::services::Database;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::connect;

const SCHEMA: &str = "
    CREATE TABLE indexed_events (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        stream_id text COLLATE \"C\" NOT NULL,
        version bigint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        type text COLLATE \"C\" NOT NULL,
        data json NOT NULL,
        recorded_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (stream_id, version));
    CREATE INDEX ON indexed_events (type, position)";
const INSERT: &str = "
    INSERT INTO indexed_events (stream_id, version, event_id, type, data)
    VALUES ($1, 1, $2, $3, $4::text::json)";
const INSERT_BATCH: &str = "
    INSERT INTO indexed_events (stream_id, version, event_id, type, data)
    SELECT u.stream_id, 1, u.event_id, $3, u.data::json
    FROM unnest($1::text[], $2::uuid[], $4::text[]) u(stream_id, event_id, data)";

/// A connection to the table for each task.
pub struct IndexedLog {
    sessions: Vec<IndexedSession>,
}

/// One of them, with its prepared statements.
#[derive(Clone)]
pub struct IndexedSession {
    client: Arc<Client>,
    insert: Statement,
    insert_batch: Statement,
}

impl IndexedLog {
    /// Connects `count` sessions to a fresh table in `database`.
    pub async fn create(database: &Database, count: usize) -> Self {
        let client = connect(database.url()).await;
        client.batch_execute(SCHEMA).await.expect("a fresh database takes a table");
        Self { sessions: join_all((0..count).map(|_| IndexedSession::connect(database))).await }
    }

    /// The session of one task.
    pub fn session(&self, task: usize) -> IndexedSession {
        self.sessions[task % self.sessions.len()].clone()
    }
}

impl IndexedSession {
    async fn connect(database: &Database) -> Self {
        let client = connect(database.url()).await;
        let insert = client.prepare(INSERT).await.expect("the table is there");
        let insert_batch = client.prepare(INSERT_BATCH).await.expect("the table is there");
        Self { client: Arc::new(client), insert, insert_batch }
    }

    /// Begins a stream with one event, in a transaction of its own.
    pub async fn insert(&self, event_type: &str, data: &str) {
        let (stream, id) = (format!("account-{}", Uuid::now_v7()), Uuid::now_v7());
        let inserted = self.client.execute(&self.insert, &[&stream, &id, &event_type, &data]).await;
        inserted.expect("the stream is new");
    }

    /// Begins a stream with each of `data`, all in one transaction.
    pub async fn insert_batch(&self, data: Vec<String>, event_type: &str) {
        let streams: Vec<_> = data.iter().map(|_| format!("account-{}", Uuid::now_v7())).collect();
        let ids: Vec<_> = data.iter().map(|_| Uuid::now_v7()).collect();
        let inserted =
            self.client.execute(&self.insert_batch, &[&streams, &ids, &event_type, &data]).await;
        inserted.expect("the streams are new");
    }
}
