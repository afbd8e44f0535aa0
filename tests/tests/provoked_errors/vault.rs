//! What a vault answers when its keys are gone, or the master key that wraps them isn't at hand.

use std::sync::Arc;

use highwater::sqlite::SqliteStore;
use highwater::{
    Append, ForgetError, Highwater, InvalidAppend, KeyError, MasterKeys, MemoryKeyStore, NewEvent,
    OpenError, Personal, SealError, SecretKey, Selection, Subject, Vault, WrapError,
};
use highwater_tests::conformance::log::given::{appended, everything, stream, to_any};
use tempfile::TempDir;

use super::sqlite::foreign;

pub(crate) fn master(name: &str) -> MasterKeys {
    MasterKeys::new(name, SecretKey::from_bytes([7; 32]))
}

pub(crate) fn moved(subject: &str) -> Append {
    let data = Personal::of(subject, "1 Harbour Street");
    to_any(&stream("a"), vec![NewEvent::new("moved", &data).expect("a text is JSON")])
}

fn ann() -> Subject {
    Subject::new("ann").expect("a subject")
}

/// A log in a file that also holds the keys, with one event that is sealed.
struct House {
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(folder.path().join("log.db")).await.expect("a log");
        let house = Self { folder, store };
        let sealed = house.vault(master("2026")).seal(moved("ann")).await.expect("sealed");
        appended(&*house.store, sealed).await;
        house
    }

    /// As another process has it, with no key in memory.
    fn vault(&self, master: MasterKeys) -> Vault {
        Vault::new(self.store.clone(), master)
    }

    async fn open(&self, vault: &Vault) -> Result<bool, OpenError> {
        let sealed = everything(&*self.store, &Selection::All).await;
        let opened = vault.open(sealed).await?;
        Ok(opened[0].data.as_json().contains("Harbour"))
    }

    async fn damage(&self, statement: &'static str) {
        foreign(&self.folder.path().join("log.db"), statement).await;
    }
}

#[tokio::test]
async fn without_the_store_of_keys_nothing_is_sealed_opened_rotated_or_forgotten() {
    let house = House::new().await;
    let vault = house.vault(master("2026"));
    let app = Highwater::builder(house.store.clone()).personal_data(vault.clone());
    let app = app.start().expect("it starts");
    house.damage("ALTER TABLE highwater_subject_keys RENAME TO gone").await;
    let error = vault.seal(moved("ann")).await.expect_err("gone");
    assert!(matches!(error, SealError::Key(KeyError::Store(_))), "{error:?}");
    assert!(error.is_retryable());
    let error = house.open(&vault).await.expect_err("gone");
    assert!(matches!(error, OpenError::Key(KeyError::Store(_))), "{error:?}");
    assert!(error.is_retryable());
    let error = vault.rotate(&ann()).await.expect_err("gone");
    assert!(matches!(error, KeyError::Store(_)), "{error:?}");
    let error = app.forget(&ann()).await.expect_err("gone");
    assert!(matches!(error, ForgetError::Key(_)) && error.is_retryable(), "{error:?}");
    house.damage("ALTER TABLE gone RENAME TO highwater_subject_keys").await;
    assert!(house.open(&vault).await.expect("it is back"));
    app.forget(&ann()).await.expect("it is back");
    assert!(!house.open(&vault).await.expect("opened as forgotten"));
    app.shutdown().await;
}

#[tokio::test]
async fn keys_of_a_master_that_is_not_at_hand_open_nothing_until_it_is() {
    let house = House::new().await;
    let vault = house.vault(master("2027"));
    let error = vault.rewrap().await.expect_err("the older master is not at hand");
    let KeyError::NotRewrapped { rewrapped: 0, source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(&**source, WrapError::UnknownMaster { master } if master == "2026"));
    assert!(error.is_retryable());
    let error = house.open(&vault).await.expect_err("the key is wrapped");
    let OpenError::Key(KeyError::Wrap(source)) = &error else { panic!("{error:?}") };
    assert!(matches!(&**source, WrapError::UnknownMaster { master } if master == "2026"));
    assert!(error.is_retryable(), "it may be given to this process later");
    let both = master("2027").with_older("2026", SecretKey::from_bytes([7; 32]));
    assert_eq!(house.vault(both).rewrap().await.expect("both are at hand"), 1);
    assert!(house.open(&vault).await.expect("its own master wraps the key now"));
}

#[tokio::test]
async fn a_reserved_key_in_data_of_ones_own_is_never_sealed() {
    let vault = Vault::new(Arc::new(MemoryKeyStore::new()), master("2026"));
    let data = serde_json::json!({ "$sealed": 1 });
    let event = NewEvent::new("forged", &data).expect("it is JSON");
    let error = vault.seal(to_any(&stream("a"), vec![event])).await.expect_err("reserved");
    let is_reserved = matches!(error, SealError::Invalid(InvalidAppend::ReservedKey { .. }));
    assert!(is_reserved && !error.is_retryable(), "{error:?}");
}
