//! The baseline: what one writes without a framework.
//!
//! Prepared statements on a table with an identity position and a unique (stream, version), one
//! connection per task. It protects no reader: a tailing one loses events. One file per kind of
//! work: [`accounts`], [`batches`], [`replay`], [`tags`]. [`whole_events`] and [`same_query`] read
//! Highwater's own table, [`indexed`] writes one with as many indexes.

mod accounts;
mod batches;
mod indexed;
mod replay;
mod same_query;
mod tags;
mod whole_events;

use std::error::Error;
use std::sync::Arc;

use futures::future::join_all;
use highwater_tests::services::Database;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

pub use self::indexed::IndexedLog;
pub use self::replay::RawReader;
pub use self::same_query::SameQuery;
pub use self::whole_events::WholeEvents;

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
    INSERT INTO events (stream_id, version, type, data) VALUES ($1, $2, $3, $4::text::json)";

/// A hand-written log, and a connection to it for each task.
pub struct RawLog {
    sessions: Vec<RawSession>,
}

/// One connection to a hand-written log, with its prepared statements.
#[derive(Clone)]
pub struct RawSession {
    client: Arc<Client>,
    statements: Arc<Statements>,
}

struct Statements {
    insert: Statement,
    insert_batch: Statement,
    load: Statement,
    tags_since: Statement,
    append_if: Statement,
    fill_tagged: Statement,
}

impl RawLog {
    /// Connects `count` sessions to fresh tables in `database`.
    pub async fn create(database: &Database, count: usize) -> Self {
        let client = connect(database.url()).await;
        for schema in [SCHEMA, tags::SCHEMA] {
            client.batch_execute(schema).await.expect("a fresh database takes tables");
        }
        let sessions = (0..count).map(|_| RawSession::connect(database));
        Self { sessions: join_all(sessions).await }
    }

    /// The session of one task.
    pub fn session(&self, task: usize) -> RawSession {
        self.sessions[task % self.sessions.len()].clone()
    }
}

impl RawSession {
    async fn connect(database: &Database) -> Self {
        let client = connect(database.url()).await;
        let prepare = async |sql| client.prepare(sql).await.expect("the tables are there");
        let statements = Statements {
            insert: prepare(INSERT).await,
            insert_batch: prepare(batches::INSERT).await,
            load: prepare(accounts::LOAD).await,
            tags_since: prepare(tags::SINCE).await,
            append_if: prepare(tags::APPEND_IF).await,
            fill_tagged: prepare(tags::FILL).await,
        };
        Self { client: Arc::new(client), statements: Arc::new(statements) }
    }

    /// Inserts one event in a transaction of its own.
    ///
    /// # Errors
    /// A unique violation, if somebody else wrote this version.
    pub async fn insert(
        &self,
        stream: &str,
        version: i64,
        event_type: &str,
        data: &str,
    ) -> Result<(), tokio_postgres::Error> {
        let insert = &self.statements.insert;
        self.client.execute(insert, &[&stream, &version, &event_type, &data]).await?;
        Ok(())
    }
}

/// A connection whose driver ends when the client is dropped.
pub async fn connect(url: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(url, NoTls).await.expect("the benchmark's Postgres answers");
    tokio::spawn(connection);
    client
}

/// The bytes of a `json` column, without a copy.
struct JsonBytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for JsonBytes<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }
}
