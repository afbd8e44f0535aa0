//! Keys in memory: the model of every key store, and one for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{KeyName, KeyState, KeyStore, KeyStoreError, StoredKey, Subject, WrappedKey};

/// Keys that live and die with the process. With them goes everything that they sealed.
#[derive(Default)]
pub struct MemoryKeyStore {
    subjects: Mutex<BTreeMap<Subject, Keys>>,
}

enum Keys {
    /// Version 1 comes first.
    Kept(Vec<WrappedKey>),
    Forgotten,
}

impl MemoryKeyStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, Keys>> {
        self.subjects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one key; without a version, of the newest.
fn state(subjects: &BTreeMap<Subject, Keys>, subject: &Subject, version: Option<u32>) -> KeyState {
    let keys = match subjects.get(subject) {
        None => return KeyState::Missing,
        Some(Keys::Forgotten) => return KeyState::Forgotten,
        Some(Keys::Kept(keys)) => keys,
    };
    let version = version.unwrap_or(keys.len() as u32);
    match (version as usize).checked_sub(1).and_then(|index| keys.get(index)) {
        None => KeyState::Missing,
        Some(wrapped) => KeyState::Kept(StoredKey {
            name: KeyName { subject: subject.clone(), version },
            wrapped: wrapped.clone(),
        }),
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        let known = self.lock();
        Ok(subjects.iter().map(|subject| state(&known, subject, None)).collect())
    }

    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        let known = self.lock();
        Ok(names.iter().map(|name| state(&known, &name.subject, Some(name.version))).collect())
    }

    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        let mut known = self.lock();
        let mut states = Vec::with_capacity(keys.len());
        for StoredKey { name, wrapped } in keys {
            let of_subject =
                known.entry(name.subject.clone()).or_insert_with(|| Keys::Kept(Vec::new()));
            if let Keys::Kept(kept) = of_subject
                && kept.len() + 1 == name.version as usize
            {
                kept.push(wrapped.clone());
            }
            states.push(state(&known, &name.subject, Some(name.version)));
        }
        Ok(states)
    }

    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        self.lock().insert(subject.clone(), Keys::Forgotten);
        Ok(())
    }

    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError> {
        let mut known = self.lock();
        let Some(Keys::Kept(keys)) = known.get_mut(&old.name.subject) else {
            return Ok(false);
        };
        let index = (old.name.version as usize).wrapping_sub(1);
        match keys.get_mut(index).filter(|kept| **kept == old.wrapped) {
            None => Ok(false),
            Some(kept) => {
                *kept = new.clone();
                Ok(true)
            }
        }
    }

    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        let known = self.lock();
        let keys = known.iter().flat_map(|(subject, keys)| {
            let versions = match keys {
                Keys::Kept(keys) => keys.len() as u32,
                Keys::Forgotten => 0,
            };
            (1..=versions).map(|version| KeyName { subject: subject.clone(), version })
        });
        let found =
            keys.filter(|name| after.is_none_or(|after| name > after)).filter_map(
                |name| match state(&known, &name.subject, Some(name.version)) {
                    KeyState::Kept(key) if key.wrapped.master != master => Some(key),
                    _ => None,
                },
            );
        Ok(found.take(limit).collect())
    }
}
