//! Keys that were unwrapped lately: bounded in number and in age.
//!
//! # Invariants
//! 1. A key is served no longer than `age` after it was asked of the store: so long may a subject that
//!    another process forgot stay readable here.
//! 2. A subject that this process forgot is forgotten here at once and for good: [`KeyCache::forget`]
//!    counts up under the lock, and what was asked of the store before that is not taken in.
//! 3. So does [`KeyCache::drop_subject`]: once this process has given a subject a newer key, no older
//!    one is taken for the newest.
//! 4. From before the store is told to forget a subject until it has said that it did, no key of that
//!    subject is kept here: each use asks the store. Where nobody waits for what it says, or it failed,
//!    that goes on for `age`. So no call that is dropped half-way leaves a key behind.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

use super::{KeyName, SecretKey, Subject};

/// How many of a subject's keys are kept at most.
const VERSIONS: usize = 16;

/// A key, or that its subject was forgotten.
pub(super) type Known<K> = Option<K>;

pub(super) struct KeyCache {
    entries: Mutex<Entries>,
    most: usize,
    age: Duration,
}

struct Entries {
    subjects: LruCache<Subject, Entry>,
    /// How often this process has forgotten a subject, or given one a newer key.
    changes: u64,
}

impl Entries {
    fn keep(&mut self, most: usize) {
        while self.subjects.len() > most {
            self.subjects.pop_lru();
        }
    }
}

enum Entry {
    Forgotten,
    /// Perhaps forgotten; invariant 4.
    Doubtful {
        since: Instant,
    },
    Keys {
        asked: Instant,
        newest: Option<u32>,
        keys: BTreeMap<u32, SecretKey>,
    },
}

/// When the store was asked: what it answered is as old as that.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    at: Instant,
    changes: u64,
}

impl KeyCache {
    pub(super) fn new(subjects: NonZeroUsize, age: Duration) -> Self {
        // Bounded by us: a cache that knows its bound takes the room for it at once.
        let entries = Entries { subjects: LruCache::unbounded(), changes: 0 };
        Self { entries: Mutex::new(entries), most: subjects.get(), age }
    }

    pub(super) fn age(&self) -> Duration {
        self.age
    }

    /// Grows whenever this process forgets a subject, and with some other changes.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// To be called before the store is asked.
    pub(super) fn asking(&self) -> Asked {
        Asked { at: Instant::now(), changes: self.lock().changes }
    }

    /// The newest key of a subject, if that is known.
    pub(super) fn newest(&self, subject: &Subject) -> Option<Known<(u32, SecretKey)>> {
        self.get(subject, |newest, keys| {
            let version = newest?;
            Some((version, keys.get(&version)?.clone()))
        })
    }

    /// A key by its name, if that is known.
    pub(super) fn key(&self, name: &KeyName) -> Option<Known<SecretKey>> {
        self.get(&name.subject, |_, keys| keys.get(&name.version).cloned())
    }

    fn get<K>(
        &self,
        subject: &Subject,
        pick: impl FnOnce(Option<u32>, &BTreeMap<u32, SecretKey>) -> Option<K>,
    ) -> Option<Known<K>> {
        let mut entries = self.lock();
        match entries.subjects.get(subject)? {
            Entry::Forgotten => Some(None),
            Entry::Doubtful { .. } => None,
            Entry::Keys { asked, newest, keys } if asked.elapsed() < self.age => {
                pick(*newest, keys).map(Some)
            }
            Entry::Keys { .. } => {
                entries.subjects.pop(subject);
                None
            }
        }
    }

    /// Takes in what the store answered.
    pub(super) fn learn(&self, asked: Asked, name: &KeyName, key: SecretKey, is_newest: bool) {
        let mut entries = self.lock();
        if entries.changes != asked.changes {
            return; // invariants 2 and 3
        }
        let fresh = || Entry::Keys { asked: asked.at, newest: None, keys: BTreeMap::new() };
        // An entry is as old as the oldest of what it holds; invariant 1.
        let entry = entries.subjects.get_or_insert_mut(name.subject.clone(), fresh);
        if matches!(entry, Entry::Doubtful { since } if asked.at >= *since + self.age) {
            *entry = fresh();
        }
        if let Entry::Keys { newest, keys, .. } = entry {
            if keys.len() >= VERSIONS {
                keys.pop_first();
            }
            keys.insert(name.version, key);
            if is_newest {
                *newest = Some(name.version);
            }
        }
        entries.keep(self.most);
    }

    /// Takes in that the store knows the subject as forgotten, which never changes.
    pub(super) fn learn_forgotten(&self, subject: &Subject) {
        let mut entries = self.lock();
        entries.subjects.put(subject.clone(), Entry::Forgotten);
        entries.keep(self.most);
    }

    /// To be called before the store is told to forget the subject.
    pub(super) fn doubt(&self, subject: &Subject) {
        let mut entries = self.lock();
        entries.changes += 1;
        if !matches!(entries.subjects.peek(subject), Some(Entry::Forgotten)) {
            entries.subjects.put(subject.clone(), Entry::Doubtful { since: Instant::now() });
            entries.keep(self.most);
        }
    }

    /// The subject was forgotten by this process.
    pub(super) fn forget(&self, subject: &Subject) {
        let mut entries = self.lock();
        entries.changes += 1;
        entries.subjects.put(subject.clone(), Entry::Forgotten);
        entries.keep(self.most);
    }

    /// The subject has a newer key.
    pub(super) fn drop_subject(&self, subject: &Subject) {
        let mut entries = self.lock();
        entries.changes += 1;
        if matches!(entries.subjects.peek(subject), Some(Entry::Keys { .. })) {
            entries.subjects.pop(subject);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(60);

    fn cache(subjects: usize) -> KeyCache {
        KeyCache::new(NonZeroUsize::new(subjects).unwrap(), AGE)
    }

    fn name(subject: &str, version: u32) -> KeyName {
        KeyName { subject: Subject::new(subject).unwrap(), version }
    }

    fn learn(cache: &KeyCache, name: &KeyName) {
        let asked = cache.asking();
        cache.learn(asked, name, SecretKey::from_bytes([1; 32]), true);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_known_until_it_is_too_old() {
        let cache = cache(10);
        learn(&cache, &name("a", 1));
        tokio::time::advance(AGE / 2).await;
        // Learning another key of the subject makes the first one no younger.
        learn(&cache, &name("a", 2));
        assert!(cache.key(&name("a", 1)).is_some());
        assert!(cache.key(&name("a", 3)).is_none());
        tokio::time::advance(AGE / 2).await;
        assert!(cache.key(&name("a", 1)).is_none());
        assert!(cache.newest(&name("a", 2).subject).is_none());
    }

    #[tokio::test]
    async fn at_most_so_many_subjects_and_versions_are_known() {
        let cache = cache(2);
        for subject in ["a", "b", "c"] {
            learn(&cache, &name(subject, 1));
        }
        assert!(cache.key(&name("a", 1)).is_none());
        assert!(cache.key(&name("c", 1)).is_some());
        for version in 1..=100 {
            learn(&cache, &name("c", version));
        }
        let known = (1..=100).filter(|version| cache.key(&name("c", *version)).is_some()).count();
        assert_eq!(known, VERSIONS);
    }

    #[tokio::test]
    async fn what_was_asked_before_a_subject_was_forgotten_is_not_taken_in() {
        let cache = cache(10);
        let asked = cache.asking();
        cache.forget(&name("a", 1).subject);
        cache.learn(asked, &name("a", 1), SecretKey::from_bytes([1; 32]), true);
        assert!(matches!(cache.key(&name("a", 1)), Some(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_subject_whose_forgetting_nobody_waited_for_is_asked_for_each_time_for_a_while() {
        let cache = cache(10);
        learn(&cache, &name("a", 1));
        cache.doubt(&name("a", 1).subject);
        for _ in 0..2 {
            assert!(cache.key(&name("a", 1)).is_none());
            learn(&cache, &name("a", 1));
            cache.drop_subject(&name("a", 1).subject);
        }
        tokio::time::advance(AGE).await;
        learn(&cache, &name("a", 1));
        assert!(matches!(cache.key(&name("a", 1)), Some(Some(_))));
        cache.doubt(&name("a", 1).subject);
        cache.learn_forgotten(&name("a", 1).subject);
        cache.doubt(&name("a", 1).subject);
        assert!(matches!(cache.key(&name("a", 1)), Some(None)));
    }

    #[tokio::test]
    async fn a_key_that_was_asked_for_before_a_newer_one_was_made_is_not_taken_for_the_newest() {
        let cache = cache(10);
        let asked = cache.asking();
        cache.drop_subject(&name("a", 1).subject);
        cache.learn(asked, &name("a", 1), SecretKey::from_bytes([1; 32]), true);
        assert!(cache.newest(&name("a", 1).subject).is_none());
        learn(&cache, &name("a", 2));
        assert!(matches!(cache.newest(&name("a", 1).subject), Some(Some((2, _)))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forgotten_subject_stays_so_however_old_the_news_is() {
        let cache = cache(10);
        cache.learn_forgotten(&name("a", 1).subject);
        tokio::time::advance(AGE * 10).await;
        cache.drop_subject(&name("a", 1).subject);
        learn(&cache, &name("a", 1));
        assert!(matches!(cache.newest(&name("a", 1).subject), Some(None)));
    }
}
