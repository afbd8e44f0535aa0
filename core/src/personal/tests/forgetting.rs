//! Forgetting a subject: at once here, soon elsewhere, and for ever.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::{AppendError, InvalidAppend, Page, ReadError, Subscription};

async fn value(log: &dyn EventStore) -> Option<String> {
    let value: Personal<String> = serde_json::from_str(&last(log).await).unwrap();
    value.into_revealed()
}

#[tokio::test]
async fn what_belongs_to_a_forgotten_subject_is_gone_and_all_else_is_there() {
    let house = House::new();
    house.append(&[Personal::of("ann", "Harbour"), Personal::of("bob", "Hill")]).await;
    house.vault.forget(&subject("ann")).await.unwrap();
    for log in [&*house.log as &dyn EventStore, &house.elsewhere()] {
        let values: Vec<Personal<String>> = serde_json::from_str(&last(log).await).unwrap();
        assert_eq!(values[0], Personal::forgotten("ann"));
        assert_eq!(values[1].reveal().map(String::as_str), Some("Hill"));
    }
}

#[tokio::test]
async fn of_values_in_each_other_each_goes_with_its_own_subject() {
    let house = House::new();
    let inner = |who: &str| Personal::of(who, 7);
    house.append(&Personal::of("ann", vec![inner("bob"), inner("cid")])).await;
    house.vault.forget(&subject("bob")).await.unwrap();
    let read = async || -> Personal<Vec<Personal<u8>>> {
        serde_json::from_str(&last(&*house.log).await).unwrap()
    };
    let values = read().await.into_revealed().unwrap();
    assert_eq!((values[0].reveal(), values[1].reveal()), (None, Some(&7)));
    house.vault.forget(&subject("ann")).await.unwrap();
    assert_eq!(read().await.reveal(), None);
}

#[tokio::test]
async fn a_new_value_of_a_forgotten_subject_is_refused_and_one_carried_along_is_written_as_forgotten()
 {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour")).await;
    let carried: Personal<String> = serde_json::from_str(&last(&*house.log).await).unwrap();
    house.vault.forget(&subject("ann")).await.unwrap();

    let fresh = append(&Personal::of("ann", "Hill"));
    let id = fresh.events().next().unwrap().id;
    let error = house.log.append(fresh).await.unwrap_err();
    let AppendError::Invalid(invalid) = error else { panic!("{error:?}") };
    assert_eq!(invalid, InvalidAppend::SubjectForgotten { event: id });

    house.append(&carried).await;
    assert_eq!(events(&*house.raw).await.len(), 2);
    assert_eq!(value(&*house.log).await, None);
    // And once more, with what is left of it.
    let left: Personal<String> = serde_json::from_str(&last(&*house.log).await).unwrap();
    house.append(&left).await;
    assert_eq!(value(&*house.log).await, None);
}

#[tokio::test]
async fn a_repeated_append_is_recognised_and_keeps_its_first_text() {
    let house = House::new();
    let append = append(&Personal::of("ann", "Harbour"));
    let first = house.log.append(append.clone()).await.unwrap();
    let text = last(&*house.raw).await;
    let second = house.log.append(append.clone()).await.unwrap();
    assert!(second.was_repeated && second.position == first.position);
    assert_eq!(last(&*house.raw).await, text);
    // Also when its subject was forgotten between the two tries.
    house.vault.forget(&subject("ann")).await.unwrap();
    let third = house.log.append(append).await.unwrap();
    assert!(third.was_repeated && third.position == first.position);
}

#[tokio::test(start_paused = true)]
async fn another_process_forgets_when_its_keys_are_too_old() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour".to_owned())).await;
    let age = Duration::from_secs(60);
    let vault = Vault::new(house.keys.clone(), master())
        .with_cached_keys(NonZeroUsize::new(10).unwrap(), age);
    let elsewhere = SealedLog::new(house.raw.clone(), vault);
    assert!(value(&elsewhere).await.is_some());
    elsewhere.append(append(&Personal::of("ann", "Shore"))).await.unwrap();
    house.vault.forget(&subject("ann")).await.unwrap();
    assert!(value(&*house.log).await.is_none());
    tokio::time::advance(age - Duration::from_millis(1)).await;
    assert!(value(&elsewhere).await.is_some());
    // What it seals until then is sealed with a key that nobody has.
    elsewhere.append(append(&Personal::of("ann", "Hill"))).await.unwrap();
    assert!(value(&*house.log).await.is_none());
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(value(&elsewhere).await.is_none());
}

/// Which answer of a store of keys comes late.
#[derive(PartialEq)]
enum Late {
    Find,
    Forget,
}

/// Answers when it is told to, with what it knew when it was asked.
struct LateAnswer {
    keys: Arc<MemoryKeyStore>,
    late: Late,
    was_asked: Notify,
    may_answer: Notify,
}

impl LateAnswer {
    fn to(late: Late, house: &House) -> Arc<Self> {
        let keys = house.keys.clone();
        Arc::new(Self { keys, late, was_asked: Notify::new(), may_answer: Notify::new() })
    }

    async fn hold(&self, answer: Late) {
        if self.late == answer {
            self.was_asked.notify_one();
            self.may_answer.notified().await;
        }
    }
}

#[async_trait]
impl KeyStore for LateAnswer {
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.keys.newest(subjects).await
    }

    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        let known = self.keys.find(names).await;
        self.hold(Late::Find).await;
        known
    }

    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.keys.add(keys).await
    }

    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        let forgotten = self.keys.forget(subject).await;
        self.hold(Late::Forget).await;
        forgotten
    }

    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError> {
        self.keys.rewrap(old, new).await
    }

    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        self.keys.not_wrapped_by(master, after, limit).await
    }
}

#[tokio::test]
async fn a_key_that_was_on_its_way_when_its_subject_was_forgotten_does_not_stay() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour".to_owned())).await;
    let keys = LateAnswer::to(Late::Find, &house);
    let vault = Vault::new(keys.clone(), master());
    let log = Arc::new(SealedLog::new(house.raw.clone(), vault.clone()));
    let reading = tokio::spawn({
        let log = log.clone();
        async move { value(&*log).await }
    });
    keys.was_asked.notified().await;
    vault.forget(&subject("ann")).await.unwrap();
    keys.may_answer.notify_one();
    // That read began before; the next one begins after.
    assert!(reading.await.unwrap().is_some());
    assert!(value(&*log).await.is_none());
}

/// A log that tells of every page that it has read.
struct Told {
    log: Arc<dyn EventStore>,
    pages: AtomicUsize,
    page_read: Notify,
}

#[async_trait]
impl crate::StoreLayer for Told {
    fn inner(&self) -> &dyn EventStore {
        &*self.log
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let page = self.log.read_all(selection, after, limit).await;
        self.pages.fetch_add(1, Ordering::SeqCst);
        self.page_read.notify_one();
        page
    }
}

fn revealed(page: &Page) -> Option<String> {
    let value: Personal<String> = page.events[0].data.to_value().unwrap();
    value.into_revealed()
}

#[tokio::test]
async fn a_page_that_was_read_ahead_shows_nobody_who_was_forgotten_meanwhile() {
    let house = House::new();
    for _ in 0..4 {
        house.append(&Personal::of("ann", "Harbour".to_owned())).await;
    }
    let (pages, page_read) = (AtomicUsize::new(0), Notify::new());
    let told = Arc::new(Told { log: house.log.clone(), pages, page_read });
    let mut subscription =
        Subscription::new(told.clone(), Selection::All, GlobalPosition::START).with_page_size(1);
    assert!(revealed(&subscription.next_page().await.unwrap()).is_some());
    while told.pages.load(Ordering::SeqCst) < 3 {
        told.page_read.notified().await;
    }
    // Two pages lie ready, opened.
    house.vault.forget(&subject("ann")).await.unwrap();
    for position in 2..=4 {
        let page = subscription.next_page().await.unwrap();
        assert_eq!(page.events[0].position, GlobalPosition::new(position));
        assert_eq!(revealed(&page), None);
    }
}

#[tokio::test]
async fn a_page_that_was_on_its_way_when_somebody_was_forgotten_is_read_anew() {
    let house = House::new();
    for who in ["bob", "ann"] {
        house.append(&Personal::of(who, "Harbour".to_owned())).await;
    }
    let keys = LateAnswer::to(Late::Find, &house);
    let vault = Vault::new(keys.clone(), master());
    let log = Arc::new(SealedLog::new(house.raw.clone(), vault.clone()));
    let mut subscription =
        Subscription::new(log, Selection::All, GlobalPosition::START).with_page_size(1);
    keys.may_answer.notify_one();
    assert!(revealed(&subscription.next_page().await.unwrap()).is_some());
    keys.was_asked.notified().await;
    // The page with bob's data came; the one with ann's waits for her key.
    keys.was_asked.notified().await;
    vault.forget(&subject("ann")).await.unwrap();
    keys.may_answer.notify_one();
    assert_eq!(revealed(&subscription.next_page().await.unwrap()), None);
}

/// A client that hangs up between the deletion of its keys and the answer.
#[tokio::test]
async fn a_forgetting_that_is_dropped_behind_its_commit_leaves_no_key_in_memory() {
    let house = House::new();
    let keys = LateAnswer::to(Late::Forget, &house);
    let vault = Vault::new(keys.clone(), master());
    let log = SealedLog::new(house.raw.clone(), vault.clone());
    log.append(append(&Personal::of("ann", "Harbour".to_owned()))).await.unwrap();
    assert!(value(&log).await.is_some());
    let ann = subject("ann");
    tokio::select! {
        _ = vault.forget(&ann) => panic!("it never answers"),
        () = keys.was_asked.notified() => {}
    }
    assert!(value(&log).await.is_none());
}

/// A store of keys that can't be reached, or that answers less than it was asked.
struct Gone {
    is_silent: bool,
}

#[async_trait]
impl KeyStore for Gone {
    async fn newest(&self, _: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        if self.is_silent { Ok(Vec::new()) } else { Err(KeyStoreError::new("asking", "gone")) }
    }

    async fn find(&self, _: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.newest(&[]).await
    }

    async fn add(&self, _: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.newest(&[]).await
    }

    async fn forget(&self, _: &Subject) -> Result<(), KeyStoreError> {
        self.newest(&[]).await.map(drop)
    }

    async fn rewrap(&self, _: &StoredKey, _: &WrappedKey) -> Result<bool, KeyStoreError> {
        self.newest(&[]).await.map(|_| false)
    }

    async fn not_wrapped_by(
        &self,
        _: &str,
        _: Option<&KeyName>,
        _: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        self.newest(&[]).await.map(|_| Vec::new())
    }
}

#[tokio::test]
async fn without_keys_nothing_is_appended_or_read_and_both_can_be_tried_again() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour")).await;
    for is_silent in [false, true] {
        let vault = Vault::new(Arc::new(Gone { is_silent }), master());
        let log = SealedLog::new(house.raw.clone(), vault);
        let error = log.append(append(&Personal::of("ann", "Hill"))).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        let error = log.read_all(&Selection::All, GlobalPosition::START, 9).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(log.append(append(&1)).await.is_ok(), "what isn't personal needs no key");
    }
}
