//! The keys that a [`Vault`] works with: from its memory, from the store, or made for a new subject.

use std::sync::Arc;

use super::key_cache::Asked;
use super::opening::{Opener, Openers};
use super::sealing::NewestKeys;
use super::{KeyError, KeyName, KeyState, KeyStoreError, SecretKey, StoredKey, Subject, Vault};

/// How many keys a store is asked about at once.
pub(super) const KEYS_AT_ONCE: usize = 1_000;

impl Vault {
    /// Gets the newest key of each subject; one that has none gets its first.
    pub(super) async fn fetch_newest(
        &self,
        subjects: Vec<Subject>,
        into: &mut NewestKeys,
    ) -> Result<(), KeyError> {
        let mut unknown = Vec::new();
        for subject in subjects {
            match self.cache.newest(&subject) {
                Some(known) => drop(into.insert(subject, known)),
                None => unknown.push(subject),
            }
        }
        for subjects in unknown.chunks(KEYS_AT_ONCE) {
            let asked = self.cache.asking();
            let states = self.keys.newest(subjects).await;
            let mut first_keys = Vec::new();
            for (subject, state) in subjects.iter().zip(all_of(states, subjects.len())?) {
                match state {
                    KeyState::Missing => first_keys.push(self.new_key(subject, 1).await?),
                    known => self.take_newest(asked, subject, known, into).await?,
                }
            }
            if first_keys.is_empty() {
                continue;
            }
            let states = self.keys.add(&first_keys).await;
            for (key, state) in first_keys.iter().zip(all_of(states, first_keys.len())?) {
                self.take_newest(asked, &key.name.subject, state, into).await?;
            }
        }
        Ok(())
    }

    async fn take_newest(
        &self,
        asked: Asked,
        subject: &Subject,
        state: KeyState,
        into: &mut NewestKeys,
    ) -> Result<(), KeyError> {
        let key = match state {
            KeyState::Missing => {
                let problem = "the store did not keep the first key of a subject";
                return Err(KeyError::Store(KeyStoreError::new("adding a key", problem)));
            }
            KeyState::Forgotten => {
                self.cache.learn_forgotten(subject);
                None
            }
            KeyState::Kept(stored) => {
                let secret = self.unwrap(&stored).await.map_err(KeyError::Wrap)?;
                self.cache.learn(asked, &stored.name, secret.clone(), true);
                Some((stored.name.version, secret))
            }
        };
        into.insert(subject.clone(), key);
        Ok(())
    }

    /// Gets keys by their names.
    pub(super) async fn fetch(
        &self,
        names: Vec<KeyName>,
        into: &mut Openers,
    ) -> Result<(), KeyError> {
        let mut unknown = Vec::new();
        for name in names {
            match self.cache.key(&name) {
                Some(Some(key)) => drop(into.insert(name, Opener::Key(key))),
                Some(None) => drop(into.insert(name, Opener::Forgotten)),
                None => unknown.push(name),
            }
        }
        for names in unknown.chunks(KEYS_AT_ONCE) {
            let asked = self.cache.asking();
            let states = self.keys.find(names).await;
            for (name, state) in names.iter().zip(all_of(states, names.len())?) {
                let opener = self.opener(asked, name, state).await?;
                into.insert(name.clone(), opener);
            }
        }
        Ok(())
    }

    async fn opener(
        &self,
        asked: Asked,
        name: &KeyName,
        state: KeyState,
    ) -> Result<Opener, KeyError> {
        let stored = match state {
            KeyState::Missing => return Ok(Opener::Missing),
            KeyState::Forgotten => {
                self.cache.learn_forgotten(&name.subject);
                return Ok(Opener::Forgotten);
            }
            KeyState::Kept(stored) => stored,
        };
        match self.unwrap(&stored).await {
            Ok(secret) => {
                self.cache.learn(asked, name, secret.clone(), false);
                Ok(Opener::Key(secret))
            }
            Err(error) if error.is_retryable() => Err(KeyError::Wrap(error)),
            // Told where the event stands that needs it.
            Err(error) => Ok(Opener::Wrapped(error)),
        }
    }

    pub(super) async fn new_key(
        &self,
        subject: &Subject,
        version: u32,
    ) -> Result<StoredKey, KeyError> {
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| {
            KeyError::Wrap(Arc::new(super::WrapError::Unavailable { source }))
        };
        let secret = SecretKey::random().map_err(|error| unavailable(Box::new(error)))?;
        let name = KeyName { subject: subject.clone(), version };
        let wrapped = self.wrapper.wrap(&name, &secret).await;
        let wrapped = wrapped.map_err(|error| KeyError::Wrap(Arc::new(error)))?;
        Ok(StoredKey { name, wrapped })
    }

    pub(super) async fn unwrap(&self, key: &StoredKey) -> Result<SecretKey, Arc<super::WrapError>> {
        self.wrapper.unwrap_key(&key.name, &key.wrapped).await.map_err(Arc::new)
    }
}

/// A store that answers less than it was asked would leave us asking for ever.
fn all_of(
    states: Result<Vec<KeyState>, KeyStoreError>,
    asked: usize,
) -> Result<Vec<KeyState>, KeyError> {
    let states = states.map_err(KeyError::Store)?;
    if states.len() == asked {
        return Ok(states);
    }
    let problem = format!("the store answered {} of {asked} questions", states.len());
    Err(KeyError::Store(KeyStoreError::new("looking keys up", problem)))
}
