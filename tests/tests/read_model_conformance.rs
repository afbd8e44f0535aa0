//! Read models in SQLite, and in memory, do what the suite demands; flawed ones are found out.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::projections::{ReadModel, SqliteReadModel};
use highwater_tests::conformance::read_model::given::Tally;
use highwater_tests::conformance::read_model::memory::{Flaw, MemoryReadModel};
use highwater_tests::conformance::read_model::{ReadModelFactory, Shown, failing, pages, running};
use highwater_tests::enrol_read_model;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{SqlitePool, query_as, query_scalar};

enrol_read_model!(memory, MemoryReadModel::with(Flaw::None));
enrol_read_model!(sqlite, SqliteFile::new());

/// A read model in a file of its own, which goes with it.
struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory for the file"))
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.0.path().join("read_model.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        SqlitePool::connect_with(options).await.expect("the file opens")
    }
}

#[async_trait]
impl ReadModelFactory for SqliteFile {
    async fn open(&self) -> Arc<dyn ReadModel> {
        Arc::new(SqliteReadModel::new(Tally, self.pool().await))
    }

    async fn shown(&self) -> Shown {
        let pool = self.pool().await;
        let journal: Vec<i64> = query_scalar("SELECT position FROM journal ORDER BY entry")
            .fetch_all(&pool)
            .await
            .expect("the journal");
        let counts: Vec<(String, i64)> =
            query_as("SELECT key, count FROM tally").fetch_all(&pool).await.expect("the counts");
        Shown {
            journal: journal.into_iter().map(i64::cast_unsigned).collect(),
            counts: counts.into_iter().collect(),
        }
    }
}

/// The checks can fail: each flaw is found by the promise that forbids it.
mod flaws {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "the zombie must be refused")]
    async fn an_unchecked_epoch_lets_a_zombie_write() {
        let flawed = MemoryReadModel::with(Flaw::UncheckedEpoch);
        pages::a_former_claimants_page_changes_nothing(&flawed).await;
    }

    #[tokio::test]
    #[should_panic(expected = "isn't the fold of the log")]
    async fn an_unchecked_position_counts_a_repeated_page_twice() {
        let flawed = MemoryReadModel::with(Flaw::UncheckedPosition);
        pages::a_page_applied_again_changes_nothing(&flawed).await;
    }

    #[tokio::test]
    #[should_panic(expected = "isn't the fold of the log")]
    async fn effects_before_the_checkpoint_count_twice_after_a_crash() {
        let flawed = MemoryReadModel::with(Flaw::EffectsFirst);
        running::a_runner_dropped_at_any_await_loses_and_doubles_nothing(&flawed).await;
    }

    #[tokio::test]
    #[should_panic(expected = "isn't the fold of the log")]
    async fn a_checkpoint_before_the_effects_loses_them_in_a_crash() {
        let flawed = MemoryReadModel::with(Flaw::CheckpointFirst);
        pages::a_page_dropped_at_any_await_is_whole_or_absent(&flawed).await;
    }

    #[tokio::test]
    #[should_panic(expected = "unwrap_err")]
    async fn skipping_an_event_that_fails_is_noticed() {
        let flawed = MemoryReadModel::with(Flaw::SkippingFailures);
        failing::an_event_that_cannot_be_projected_leaves_nothing_of_its_page(&flawed).await;
    }
}
