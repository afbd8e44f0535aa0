//! Where subjects' keys are kept: the contract of every key store.
//!
//! A store sees wrapped keys only. Who wraps them is [`KeyWrapper`](super::KeyWrapper)'s.

use std::error::Error;

use async_trait::async_trait;

use super::{Subject, WrappedKey};

/// The keys could not be read or written. Nothing was changed, or what was is whole: try again.
#[derive(Debug, thiserror::Error)]
#[error("the store of personal data's keys is not available: {doing}")]
pub struct KeyStoreError {
    /// What was being done.
    pub doing: &'static str,
    /// What went wrong.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl KeyStoreError {
    /// A failure while `doing` something.
    pub fn new(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { doing, source: source.into() }
    }
}

/// Names one key of a subject: they are numbered 1, 2, 3 …
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    /// Whose key it is.
    pub subject: Subject,
    /// Which one.
    pub version: u32,
}

/// A key as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Which key it is.
    pub name: KeyName,
    /// The key, unreadable without the key that wraps it.
    pub wrapped: WrappedKey,
}

/// What a store knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It never was there.
    Missing,
    /// It is there.
    Kept(StoredKey),
    /// Its subject was forgotten: it is gone for ever.
    Forgotten,
}

/// Keeps the keys of subjects.
///
/// # Contract
/// 1. Agreement: of all keys that are added under one name at the same moment, by any number of
///    processes, exactly one MUST be kept, and all callers MUST get that one.
/// 2. Numbers: a key MUST be added only behind the one before it, so that a subject's keys are
///    numbered without gaps.
/// 3. Forgetting: once `forget` has returned, no key of the subject MUST be in the store, not even
///    one that was added at the same moment, and none MUST ever be added again. It is durable.
/// 4. A rewrapped key MUST be replaced only if it still is what the caller read.
/// 5. Answers MUST come in the order of the questions.
///
/// The conformance suite checks each. No method is asked about more than 1,000 keys at once.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The newest key of each subject.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError>;

    /// Looks keys up by their names.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError>;

    /// Adds each key, unless its name is taken or its subject forgotten; says what is there
    /// afterwards. The keys are of different subjects, and sorted by them.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    ///
    /// # Cancel safety
    /// Some keys may be added: add them again.
    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError>;

    /// Deletes a subject's keys and remembers that it was forgotten. Twice is as good as once, and a
    /// subject that never had a key can be forgotten too.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    ///
    /// # Cancel safety
    /// The subject is forgotten or not: forget it again.
    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError>;

    /// Replaces how a key is wrapped; false if it isn't `old` any more, and then nothing is changed.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    ///
    /// # Cancel safety
    /// It is replaced or not: either opens.
    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError>;

    /// Up to `limit` keys behind `after`, in order of their names, that another key than `master`
    /// wraps.
    ///
    /// # Errors
    /// [`KeyStoreError`].
    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError>;
}
