//! What is kept beside the log, snapshots and schemas, and can be gone, torn or refused like it.
//! And names, which are refused before any of it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use highwater::postgres::PostgresStore;
use highwater::schema::{Compatibility, EventSchemas, KeepSchemasError};
use highwater::sqlite::SqliteStore;
use highwater::{EventStore, InvalidStreamId, SnapshotError, StreamId};
use highwater_tests::conformance::snapshots::given::{
    load, save, schema, snapshot, snapshots, stream, version,
};
use highwater_tests::services;
use tempfile::TempDir;

use super::postgres::{run, session};
use super::sqlite::foreign;
use super::starting::Described;

async fn file() -> (TempDir, PathBuf, Arc<SqliteStore>) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("log.db");
    let store = SqliteStore::open(&path).await.expect("a log");
    (folder, path, store)
}

#[tokio::test]
async fn a_snapshot_that_is_torn_is_told_from_one_that_can_not_be_reached() {
    let (_folder, path, store) = file().await;
    let of_a = snapshot(&stream("a"), 3);
    save(&*store, &of_a, 1).await;
    foreign(&path, "UPDATE highwater_snapshots SET data = '{\"torn'").await;
    let kept = snapshots(&*store);
    let load_it = || kept.load_snapshot(&of_a.stream, &of_a.schema, version(9));
    let error = load_it().await.expect_err("torn");
    let SnapshotError::Corrupt { stream: of, version: at, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!((of, *at), (&of_a.stream, Some(of_a.version)));
    assert!(!error.is_retryable());
    save(&*store, &of_a, 1).await;
    foreign(&path, "ALTER TABLE highwater_snapshots RENAME TO gone").await;
    for outcome in [
        load_it().await.map(drop),
        kept.save_snapshot(&of_a, NonZeroUsize::MIN).await,
        kept.delete_snapshots(&of_a.stream).await,
    ] {
        let error = outcome.expect_err("gone");
        assert!(matches!(error, SnapshotError::Unavailable { .. }), "{error:?}");
        assert!(error.is_retryable());
    }
    foreign(&path, "ALTER TABLE gone RENAME TO highwater_snapshots").await;
    assert_eq!(load(&*store, &of_a.stream, 9).await, Some(of_a));
}

#[tokio::test]
async fn a_snapshot_that_violates_a_constraint_is_refused_and_no_other() {
    let database = services::postgres().await.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    run(
        &session(database.url()).await,
        "ALTER TABLE highwater.snapshots ADD CONSTRAINT no_secrets CHECK (schema_name <> 'Secret')",
    )
    .await;
    let open = snapshot(&stream("a"), 3);
    let mut secret = open.clone();
    secret.schema = schema("Secret", 1);
    let error = snapshots(&*store).save_snapshot(&secret, NonZeroUsize::MIN).await;
    let error = error.expect_err("a constraint");
    assert!(matches!(&error, SnapshotError::Refused { stream: of, .. } if *of == open.stream));
    assert!(!error.is_retryable());
    save(&*store, &open, 1).await;
}

#[tokio::test]
async fn a_schema_that_is_torn_is_told_from_one_that_can_not_be_reached() {
    let (_folder, path, store) = file().await;
    let schemas = EventSchemas::of::<Described>();
    let store = store.schemas().expect("this store keeps schemas");
    let keep = || store.keep(&schemas, Compatibility::Backward);
    keep().await.expect("there is nothing to break with");
    foreign(&path, "ALTER TABLE highwater_event_schemas RENAME TO gone").await;
    let error = keep().await.expect_err("gone");
    assert!(matches!(error, KeepSchemasError::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable());
    foreign(&path, "ALTER TABLE gone RENAME TO highwater_event_schemas").await;
    keep().await.expect("it is back");
    foreign(&path, "UPDATE highwater_event_schemas SET json_schema = '{\"torn'").await;
    let error = keep().await.expect_err("torn");
    let KeepSchemasError::Corrupt { event_type, version: 1, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(event_type, "thing.described");
    assert!(!error.is_retryable());
}

#[test]
fn a_category_that_is_no_word_and_a_tenant_that_is_none_name_no_stream() {
    let parsed = |name: &str| StreamId::parse(name).expect_err("no name");
    let no_word = InvalidStreamId::Category("7".to_owned());
    assert_eq!(StreamId::new("7", "a").expect_err("no word"), no_word);
    assert_eq!(parsed("7-a"), no_word);
    for name in ["@acme", "@/order-7", "@ac me/order-7"] {
        assert_eq!(parsed(name), InvalidStreamId::Tenant(name.to_owned()));
    }
}
