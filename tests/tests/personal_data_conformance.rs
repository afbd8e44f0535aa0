//! The memory store and the SQLite store keep every promise about personal data, and a key store that
//! doesn't look who was first does not.

use std::sync::Arc;

use async_trait::async_trait;
use highwater::{EventStore, GlobalPosition, KeyStore, MemoryKeyStore, MemoryStore, Selection};
use highwater_tests::conformance::personal_data::PersonalDataFactory;
use highwater_tests::conformance::personal_data::application::race_for_the_first_key_is_won_by_one;
use highwater_tests::conformance::personal_data::given::all_wrapped;
use highwater_tests::enrol_personal_data;
use highwater_tests::sqlite_file;
use tempfile::TempDir;

enrol_personal_data!(memory, InMemory::default());
enrol_personal_data!(sqlite, InSqlite::fresh());

/// A log and keys in memory: their handles are one.
#[derive(Default)]
struct InMemory {
    log: Arc<MemoryStore>,
    keys: Arc<MemoryKeyStore>,
}

#[async_trait]
impl PersonalDataFactory for InMemory {
    async fn open(&self) -> (Arc<dyn EventStore>, Arc<dyn KeyStore>) {
        (self.log.clone(), self.keys.clone())
    }

    async fn dump(&self) -> Vec<u8> {
        let page = self.log.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await;
        let mut dump = Vec::new();
        for event in page.expect("a log in memory").events {
            dump.extend_from_slice(event.event_type.as_str().as_bytes());
            dump.extend_from_slice(event.data.as_json().as_bytes());
        }
        for key in all_wrapped(&*self.keys).await {
            dump.extend_from_slice(&key.wrapped.bytes);
        }
        dump
    }
}

/// A log in a file of its own, which is removed with it.
struct InSqlite {
    directory: TempDir,
}

impl InSqlite {
    fn fresh() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }
}

#[async_trait]
impl PersonalDataFactory for InSqlite {
    async fn open(&self) -> (Arc<dyn EventStore>, Arc<dyn KeyStore>) {
        let store = sqlite_file::open(self.directory.path()).await;
        (store.clone(), store)
    }

    /// The file as it lies on the disk, and its write-ahead log.
    async fn dump(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.directory.path()).expect("the directory");
        let contents = files.map(|file| std::fs::read(file.expect("a file").path()));
        contents.collect::<Result<Vec<_>, _>>().expect("the files").concat()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_store_that_does_not_look_who_was_first_is_caught() {
    assert!(!race_for_the_first_key_is_won_by_one(&InMemory::default(), true).await);
    assert!(!race_for_the_first_key_is_won_by_one(&InSqlite::fresh(), true).await);
}
