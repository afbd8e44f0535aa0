//! The PostgreSQL store keeps every promise about personal data, on a real server; dumps are those of
//! the server's own `pg_dump`, and the files of the tables.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::postgres::PostgresStore;
use highwater::{EventStore, KeyStore};
use highwater_tests::conformance::personal_data::PersonalDataFactory;
use highwater_tests::conformance::personal_data::application::race_for_the_first_key_is_won_by_one;
use highwater_tests::enrol_personal_data;
use highwater_tests::services::{self, Database};
use tokio_postgres::{Client, NoTls};

enrol_personal_data!(postgres, InPostgres::fresh().await);

/// A log in a database of its own, which is dropped with it.
struct InPostgres {
    database: Database,
}

impl InPostgres {
    async fn fresh() -> Self {
        Self { database: services::postgres().await.fresh_database().await }
    }

    async fn client(&self) -> Client {
        let (client, connection) =
            tokio_postgres::connect(self.database.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

#[async_trait]
impl PersonalDataFactory for InPostgres {
    async fn open(&self) -> (Arc<dyn EventStore>, Arc<dyn KeyStore>) {
        let store = PostgresStore::connect(self.database.url()).await.expect("a log");
        (store.clone(), store)
    }

    async fn dump(&self) -> Vec<u8> {
        let client = self.client().await;
        let mut dump = pg_dump(&client, &self.database).await;
        // What `pg_dump` leaves out: rows that are gone and not yet overwritten. Wrapped keys may be
        // among them, as the book says; no value is.
        dump.extend(table_files(&client).await);
        dump
    }
}

/// The output of the server's own `pg_dump`, which runs where the server does.
async fn pg_dump(client: &Client, database: &Database) -> Vec<u8> {
    let setting = async |query: &str| -> String {
        client.query_one(query, &[]).await.expect("a setting").get(0)
    };
    let programs = setting("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let port = setting("SELECT current_setting('port')").await;
    let config: tokio_postgres::Config = database.url().parse().expect("a URL");
    let user = config.get_user().unwrap_or("postgres");
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default());
    let program = format!(
        "PGPASSWORD=''{password}'' ''{programs}/pg_dump'' -h 127.0.0.1 -p {port} -U {user} {} | \
         base64 -w 0",
        database.name()
    );
    let copied = format!(
        "CREATE TEMP TABLE dumped (text text); COPY dumped FROM PROGRAM '{program}'; \
         SELECT 1"
    );
    client.batch_execute(&copied).await.expect("the server's pg_dump runs");
    let dumped = "SELECT decode(string_agg(text, ''), 'base64') FROM dumped";
    let dump: Option<Vec<u8>> = client.query_one(dumped, &[]).await.expect("a dump").get(0);
    dump.expect("pg_dump wrote something")
}

async fn table_files(client: &Client) -> Vec<u8> {
    client.batch_execute("CHECKPOINT").await.expect("a checkpoint");
    let files = "SELECT pg_read_binary_file(pg_relation_filepath(c.oid)) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('highwater', 'pg_toast') AND c.relkind IN ('r', 't', 'i')
            AND c.relname NOT LIKE 'subject_keys%' AND pg_relation_filepath(c.oid) IS NOT NULL
            AND c.oid >= 16384";
    let rows = client.query(files, &[]).await.expect("the tables' files");
    rows.iter().flat_map(|row| row.get::<_, Vec<u8>>(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_store_that_does_not_look_who_was_first_is_caught() {
    assert!(!race_for_the_first_key_is_won_by_one(&InPostgres::fresh().await, true).await);
}
