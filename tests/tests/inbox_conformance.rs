//! The inboxes in SQLite and PostgreSQL do what the suite demands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::bus::{HandleError, Message, MessageHandler, Topic};
use highwater::projections::{InboxHandler, PostgresInbox, SqliteInbox};
use highwater_tests::conformance::inbox::{InboxFactory, Noting, PurgedInbox, messages};
use highwater_tests::enrol_inbox;
use highwater_tests::services::{self, Database};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{PgConnection, PgPool, SqlitePool, query_as};

enrol_inbox!(sqlite, SqliteFile::new().await);
enrol_inbox!(postgres, PostgresDatabase::fresh().await);

const NOTED: &str = "CREATE TABLE IF NOT EXISTS noted (message_id text NOT NULL)";
const COUNTED: &str = "SELECT message_id, COUNT(*) FROM noted GROUP BY message_id";

/// An inbox in a file of its own, which goes with it.
struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    async fn new() -> Self {
        let file = Self(tempfile::tempdir().expect("a directory for the file"));
        sqlx::raw_sql(NOTED).execute(&file.pool().await).await.expect("the handler's table");
        file
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.0.path().join("inbox.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        SqlitePool::connect_with(options).await.expect("the file opens")
    }
}

#[async_trait]
impl InboxFactory for SqliteFile {
    async fn open(&self, handler: Noting) -> Arc<dyn PurgedInbox> {
        Arc::new(Purged(SqliteInbox::new(handler, self.pool().await)))
    }

    async fn noted(&self) -> BTreeMap<String, i64> {
        let counted: Vec<(String, i64)> =
            query_as(COUNTED).fetch_all(&self.pool().await).await.expect("what was noted");
        counted.into_iter().collect()
    }
}

/// An inbox in a database of its own.
struct PostgresDatabase(Database);

impl PostgresDatabase {
    async fn fresh() -> Self {
        let database = Self(services::postgres().await.fresh_database().await);
        sqlx::raw_sql(NOTED).execute(&database.pool().await).await.expect("the handler's table");
        database
    }

    async fn pool(&self) -> PgPool {
        PgPool::connect(self.0.url()).await.expect("the database answers")
    }
}

#[async_trait]
impl InboxFactory for PostgresDatabase {
    async fn open(&self, handler: Noting) -> Arc<dyn PurgedInbox> {
        Arc::new(Purged(PostgresInbox::new(handler, self.pool().await)))
    }

    async fn noted(&self) -> BTreeMap<String, i64> {
        let counted: Vec<(String, i64)> =
            query_as(COUNTED).fetch_all(&self.pool().await).await.expect("what was noted");
        counted.into_iter().collect()
    }
}

/// An inbox as the suite sees it.
struct Purged<I>(I);

macro_rules! purged {
    ($inbox:ty) => {
        #[async_trait]
        impl MessageHandler for Purged<$inbox> {
            fn consumer(&self) -> &str {
                self.0.consumer()
            }

            fn topics(&self) -> Vec<Topic> {
                self.0.topics()
            }

            async fn handle(&self, message: &Message) -> Result<(), HandleError> {
                self.0.handle(message).await
            }
        }

        #[async_trait]
        impl PurgedInbox for Purged<$inbox> {
            async fn purge(&self, age: Duration) -> u64 {
                self.0.purge(age).await.expect("purged")
            }
        }
    };
}

purged!(PostgresInbox<Noting>);
purged!(SqliteInbox<Noting>);

/// Runs its statement and doesn't look at what comes of it.
struct Careless(&'static str);

#[async_trait]
impl InboxHandler<PgConnection> for Careless {
    fn consumer(&self) -> &str {
        "careless"
    }

    fn topics(&self) -> Vec<Topic> {
        Vec::new()
    }

    async fn handle(&self, _: &Message, connection: &mut PgConnection) -> Result<(), HandleError> {
        let _ = sqlx::raw_sql(self.0).execute(connection).await;
        Ok(())
    }
}

#[tokio::test]
async fn a_message_whose_effect_was_rolled_back_is_not_acknowledged() {
    let (database, messages) = (PostgresDatabase::fresh().await, messages(1).await);
    for statement in ["SELECT 1 / 0", "ROLLBACK"] {
        let inbox = PostgresInbox::new(Careless(statement), database.pool().await);
        for _ in 0..2 {
            let refused = inbox.handle(&messages[0]).await.expect_err("it had no effect");
            assert!(!refused.is_retryable(), "{refused:?}");
        }
    }
}

/// A statement's plan in SQLite, where the size of the table doesn't change it.
async fn plan_of(file: &SqliteFile, statement: &str) -> String {
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let rows: Vec<(i64, i64, i64, String)> = query_as(sqlx::AssertSqlSafe(explained))
        .fetch_all(&file.pool().await)
        .await
        .expect("a plan");
    rows.into_iter().map(|row| row.3).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn what_a_purge_deletes_is_found_by_an_index() {
    let file = SqliteFile::new().await;
    file.open(Noting::default()).await.purge(Duration::ZERO).await;
    let oldest = "SELECT rowid FROM highwater_inbox
        WHERE consumer = 'a' AND received_at_ms < 7 ORDER BY received_at_ms LIMIT 10";
    let plan = plan_of(&file, oldest).await;
    assert!(plan.contains("USING COVERING INDEX highwater_inbox_by_age"), "{plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
}

/// A process that freezes in its transaction must not hold up for ever whoever gets the message next.
#[tokio::test]
async fn the_server_ends_a_transaction_in_which_nothing_happens() {
    let (database, messages) = (PostgresDatabase::fresh().await, messages(1).await);
    let note = "INSERT INTO noted SELECT current_setting('idle_in_transaction_session_timeout')";
    let inbox = PostgresInbox::new(Careless(note), database.pool().await);
    inbox.handle(&messages[0]).await.expect("handled");
    assert_eq!(database.noted().await, BTreeMap::from([("1min".to_owned(), 1)]));
}
