//! What archiving, restoring, marking, removing and ending answer when something is in the way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::postgres::PostgresStore;
use highwater::retention::{
    Archive, ArchiveError, ArchiveScope, ConsumerPlace, RestoreError, Retention, RetentionError,
    StreamRetention, TombstoneError, TruncateError, Truncation,
};
use highwater::sqlite::{SqliteOptions, SqliteStore};
use highwater::{
    AppendError, EventStore, GlobalPosition, MemoryStore, ReadError, Selection, SnapshotError,
    SnapshotStore, StoreLayer, StreamId, StreamVersion,
};
use highwater_tests::conformance::log::given::{
    appended, events, everything, position, stream, to_any, whole_stream,
};
use highwater_tests::conformance::snapshots::given::{save, schema, snapshot, version};
use highwater_tests::services;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::postgres::session;
use super::sqlite::foreign;

/// A log in a file, of 5 events of the stream `a`, with a snapshot at the last one.
struct Log {
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl Log {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let options = SqliteOptions::new().with_lock_timeout(Duration::from_millis(200));
        let path = folder.path().join("log.db");
        let store = SqliteStore::open_with(&path, options).await.expect("a log");
        appended(&*store, to_any(&stream("a"), events(5))).await;
        snapshot_at(&*store, 5).await;
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log.db")
    }

    async fn damage(&self, statement: &'static str) {
        foreign(&self.path(), statement).await;
    }

    fn archive(&self) -> Archive {
        Archive::in_directory(self.folder.path())
    }
}

/// A snapshot of the stream `a` that the log bears out.
async fn snapshot_at(store: &dyn EventStore, at: u64) {
    let event = whole_stream(store, &stream("a")).await.remove(at as usize - 1);
    let mut borne_out = snapshot(&stream("a"), at);
    (borne_out.position, borne_out.last_event) = (event.position, event.id);
    save(store, &borne_out, 1).await;
}

/// Truncates the stream `a` before a version.
async fn truncated(store: &dyn Retention, before: u64) -> Result<u64, TruncateError> {
    let truncation = Truncation::without_archive(store);
    truncation.of_stream_before(&stream("a"), version(before), &schema("State", 1)).await
}

fn all() -> ArchiveScope {
    ArchiveScope::of_log(GlobalPosition::START, position(5))
}

#[tokio::test]
async fn an_archive_that_can_not_be_written_says_if_it_is_for_the_log_or_for_a_file() {
    let log = Log::new().await;
    let nowhere = Archive::in_directory(log.folder.path().join("nowhere"));
    let error = nowhere.write(&*log.store, all(), &mut |_| {}).await.expect_err("no directory");
    let ArchiveError::Io { path, .. } = &error else { panic!("{error:?}") };
    assert!(path.ends_with("nowhere") && error.is_retryable());
    log.damage("ALTER TABLE highwater_events RENAME TO gone").await;
    let archive = log.archive();
    let error = archive.write(&*log.store, all(), &mut |_| {}).await.expect_err("no log");
    assert!(matches!(error, ArchiveError::Read(ReadError::Unavailable { .. })), "{error:?}");
    assert!(error.is_retryable());
    log.damage("ALTER TABLE gone RENAME TO highwater_events").await;
    let verified = archive.write(&*log.store, all(), &mut |_| {}).await.expect("an archive");
    assert_eq!(verified.events(), 5);
}

#[tokio::test]
async fn nothing_is_restored_over_other_events_or_from_a_file_that_was_cut() {
    let log = Log::new().await;
    let archive = log.archive();
    archive.write(&*log.store, all(), &mut |_| {}).await.expect("an archive");
    let other = MemoryStore::new();
    appended(&other, to_any(&stream("a"), events(1))).await;
    let error = archive.restore(all(), &other, &mut |_| {}).await.expect_err("another log");
    let RestoreError::Append { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(source, AppendError::VersionConflict { .. }), "{source:?}");
    assert!(!error.is_retryable());
    assert_eq!(everything(&other, &Selection::All).await.len(), 1);

    let mut files = std::fs::read_dir(log.folder.path()).expect("a directory");
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "gz");
    let file = files.find_map(|file| Some(file.ok()?.path()).filter(is_archive));
    let file = file.expect("the archive's file");
    let whole = std::fs::read(&file).expect("the file");
    std::fs::write(&file, &whole[..whole.len() / 2]).expect("cut");
    let empty = MemoryStore::new();
    let error = archive.restore(all(), &empty, &mut |_| {}).await.expect_err("cut");
    let is_damage = matches!(&error, RestoreError::Archive(ArchiveError::Damaged { .. }));
    assert!(is_damage && !error.is_retryable(), "{error:?}");
    assert!(everything(&empty, &Selection::All).await.is_empty());
}

#[tokio::test]
async fn what_others_lock_is_neither_marked_nor_removed_nor_ended() {
    let log = Log::new().await;
    let url = format!("sqlite://{}", log.path().display());
    let mut other = SqliteConnection::connect(&url).await.expect("another process");
    let lock = other.begin_with("BEGIN IMMEDIATE").await.expect("the write lock");
    let error = log.store.mark_log(position(2)).await.expect_err("locked");
    assert!(matches!(error, RetentionError::Unavailable { doing: "mark the log", .. }));
    assert!(error.is_retryable());
    let error = truncated(&*log.store, 4).await.expect_err("locked");
    assert!(matches!(error, TruncateError::Store(RetentionError::Unavailable { .. })), "{error:?}");
    assert!(error.is_retryable());
    let error = log.store.tombstone(&stream("a")).await.expect_err("locked");
    assert!(matches!(&error, TombstoneError::Unavailable { stream: of, .. } if *of == stream("a")));
    assert!(error.is_retryable());
    assert_eq!(whole_stream(&*log.store, &stream("a")).await.len(), 5);
    lock.rollback().await.expect("the lock is given back");
    assert_eq!(truncated(&*log.store, 4).await.expect("nobody else writes"), 3);
    log.store.tombstone(&stream("a")).await.expect("nobody else writes");
}

#[tokio::test]
async fn a_store_that_is_closed_ends_no_stream() {
    let log = Log::new().await;
    log.store.close().await;
    let error = log.store.tombstone(&stream("a")).await.expect_err("closed");
    assert!(matches!(&error, TombstoneError::Refused { stream: of, .. } if *of == stream("a")));
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn a_log_or_a_snapshot_that_can_not_be_read_loses_nothing() {
    let log = Log::new().await;
    log.damage("ALTER TABLE highwater_events RENAME TO gone").await;
    let error = truncated(&*log.store, 4).await.expect_err("no log");
    assert!(matches!(error, TruncateError::Read(ReadError::Unavailable { .. })), "{error:?}");
    assert!(error.is_retryable());
    log.damage("ALTER TABLE gone RENAME TO highwater_events").await;
    log.damage("UPDATE highwater_snapshots SET data = '{\"torn'").await;
    let error = truncated(&*log.store, 4).await.expect_err("the snapshot is torn");
    let is_torn = matches!(error, TruncateError::Snapshot(SnapshotError::Corrupt { .. }));
    assert!(is_torn && !error.is_retryable(), "{error:?}");
    assert_eq!(whole_stream(&*log.store, &stream("a")).await.len(), 5);
}

/// The stream's events have positions behind those of a transaction that is still open.
#[tokio::test]
async fn a_stream_of_which_no_event_is_final_yet_loses_none_until_one_is() {
    let database = services::postgres().await.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("a log");
    let mut client = session(database.url()).await;
    let open = client.transaction().await.expect("a transaction");
    store.append_in(&open, to_any(&stream("b"), events(1))).await.expect("an append");
    appended(&*store, to_any(&stream("a"), events(3))).await;
    snapshot_at(&*store, 3).await;
    let error = truncated(&*store, 3).await.expect_err("not final");
    assert!(matches!(&error, TruncateError::NotFinal { stream: of, .. } if *of == stream("a")));
    assert!(error.is_retryable());
    open.commit().await.expect("a commit");
    assert_eq!(truncated(&*store, 3).await.expect("final"), 2);
}

/// A log whose streams are looked at in a copy that lags behind: a fail-over in the middle of a
/// truncation, or a replica that somebody put in the way.
struct Lagging {
    now: Arc<SqliteStore>,
    before: Arc<SqliteStore>,
}

impl StoreLayer for Lagging {
    fn inner(&self) -> &dyn EventStore {
        &*self.now
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.now.snapshots()
    }
}

#[async_trait]
impl Retention for Lagging {
    async fn removed_to(&self) -> Result<GlobalPosition, ReadError> {
        self.before.removed_to().await
    }

    async fn stream_retention(&self, stream: &StreamId) -> Result<StreamRetention, ReadError> {
        self.before.stream_retention(stream).await
    }

    async fn consumers(&self) -> Result<Vec<ConsumerPlace>, ReadError> {
        self.before.consumers().await
    }

    async fn mark_stream(
        &self,
        stream: &StreamId,
        to: StreamVersion,
    ) -> Result<(), RetentionError> {
        self.now.mark_stream(stream, to).await
    }

    async fn remove_from_stream(
        &self,
        stream: &StreamId,
        limit: usize,
    ) -> Result<u64, RetentionError> {
        self.now.remove_from_stream(stream, limit).await
    }

    async fn mark_log(&self, to: GlobalPosition) -> Result<(), RetentionError> {
        self.now.mark_log(to).await
    }

    async fn remove_from_log(
        &self,
        limit: usize,
    ) -> Result<Option<(GlobalPosition, u64)>, RetentionError> {
        self.now.remove_from_log(limit).await
    }
}

#[tokio::test]
async fn a_stream_that_is_shorter_than_its_snapshot_keeps_its_head() {
    let log = Log::new().await;
    let path = log.folder.path().join("copy.db");
    let url = format!("sqlite://{}", log.path().display());
    let mut copying = SqliteConnection::connect(&url).await.expect("another process");
    sqlx::query("VACUUM INTO ?")
        .bind(path.to_str().expect("a path of text"))
        .execute(&mut copying)
        .await
        .expect("a copy");
    let before = SqliteStore::open(path).await.expect("the copy");
    appended(&*log.store, to_any(&stream("a"), events(3))).await;
    snapshot_at(&*log.store, 8).await;
    let lagging = Lagging { now: log.store.clone(), before };
    match truncated(&lagging, 8).await {
        Err(TruncateError::StreamHeadStays { to, head, .. }) => {
            assert_eq!((to, head), (version(7), version(5)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(whole_stream(&*log.store, &stream("a")).await.len(), 8);
    assert_eq!(truncated(&*log.store, 8).await.expect("the whole stream is known"), 7);
}
