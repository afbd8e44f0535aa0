//! Opening a log: migrations, refusals, secrets.

use highwater::postgres::{ConnectError, PostgresOptions};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn many_processes_that_start_at_once_migrate_once() {
    let database = Arc::new(database().await);
    let starting = (0..8).map(|_| {
        let database = database.clone();
        tokio::spawn(async move { PostgresStore::connect(database.url()).await.map(drop) })
    });
    for started in starting.collect::<Vec<_>>() {
        started.await.expect("no panic").expect("a store");
    }
    let session = Session::open(database.url()).await;
    assert!(session.number("SELECT count(*) FROM highwater.migrations").await > 0);
}

#[tokio::test]
async fn another_text_under_a_migrations_number_is_refused() {
    let database = database().await;
    drop(open(&database).await);
    let session = Session::open(database.url()).await;
    session.run("UPDATE highwater.migrations SET checksum = 'x' WHERE version = 2").await;
    let refused = PostgresStore::connect(database.url()).await;
    assert!(matches!(refused, Err(ConnectError::MigrationDiffers { version: 2 })));
}

#[tokio::test]
async fn no_error_and_no_debug_text_shows_the_password() {
    let options = || PostgresOptions::new().with_connect_patience(Duration::from_millis(300));
    // Port 1 refuses at once.
    let url = "postgresql://app:hunter2@127.0.0.1:1/orders";
    let error = PostgresStore::connect_with(url, options()).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.is_retryable());
    let told = format!("{error} {error:?} {:?} {:?}", options(), std::error::Error::source(&error));
    assert!(told.contains("127.0.0.1:1/orders"));
    assert!(!told.contains("hunter2"), "{told}");
}
