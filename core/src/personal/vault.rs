//! [`Vault`]: seals personal data, opens it, and forgets whose it was.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::key_cache::KeyCache;
use super::marker::{PERSONAL, SEALED};
use super::opening::{Openers, Opening};
use super::sealing::{NewestKeys, Sealing, Unsealable};
use super::vault_keys::KEYS_AT_ONCE;
use super::{
    ForgetError, KeyError, KeyState, KeyStore, KeyStoreError, KeyWrapper, NodeError, OpenError,
    SealError, SecretKey, StoredKey, Subject, WrapError,
};
use crate::{Append, EventId, InvalidAppend, Payload, RecordedEvent, TenantId};

/// How many subjects' keys are kept in memory unless told otherwise.
const CACHED_SUBJECTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);
/// How long they are kept unless told otherwise.
const KEY_AGE: Duration = Duration::from_secs(60);

/// Seals personal data with a key per subject, and opens it as long as the subject isn't forgotten.
///
/// Cheap to clone; clones share the keys in memory. Give it to
/// [`HighwaterBuilder::personal_data`](crate::HighwaterBuilder::personal_data), or put a
/// [`SealedLog`](super::SealedLog) on a store yourself.
///
/// Sealed values are bound to their event, so one that is moved elsewhere doesn't open. What stays
/// visible is that there is a value, whose it is (the subject's id), and about how long it is.
#[derive(Clone)]
pub struct Vault {
    pub(super) keys: Arc<dyn KeyStore>,
    pub(super) wrapper: Arc<dyn KeyWrapper>,
    pub(super) cache: Arc<KeyCache>,
}

/// What ends the work on several texts: something about one of them, or about the keys.
enum Stopped<E> {
    At(usize, E),
    Key(KeyError),
}

impl<E> From<KeyError> for Stopped<E> {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl Vault {
    /// A vault with the keys of `keys`, wrapped by `wrapper`.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use highwater::{MasterKeys, MemoryKeyStore, SecretKey, Vault};
    ///
    /// let master = MasterKeys::new("2027", SecretKey::from_bytes([7; 32]));
    /// let vault = Vault::new(Arc::new(MemoryKeyStore::new()), master);
    /// ```
    #[must_use]
    pub fn new(keys: Arc<dyn KeyStore>, wrapper: impl KeyWrapper) -> Self {
        let cache = Arc::new(KeyCache::new(CACHED_SUBJECTS, KEY_AGE));
        Self { keys, wrapper: Arc::new(wrapper), cache }
    }

    /// Keeps the keys of at most so many subjects in memory (10,000 unless told), for at most this
    /// long (60 s unless told): so long may a subject that another process forgot stay readable in
    /// this one.
    #[must_use]
    pub fn with_cached_keys(mut self, subjects: NonZeroUsize, age: Duration) -> Self {
        self.cache = Arc::new(KeyCache::new(subjects, age));
        self
    }

    /// Makes everything that belongs to `subject` unreadable for ever, wherever a copy of it is: its
    /// keys are deleted, and no new one will ever be made. In this process at once, in others when
    /// the keys in their memory are too old.
    ///
    /// Here is no tenant to be within: one of a tenant's subjects is named
    /// [in full](Subject::in_tenant), as [`Personal::subject`](super::Personal::subject) does.
    ///
    /// # Errors
    /// [`KeyStoreError`]: forget it again.
    ///
    /// # Cancel safety
    /// The subject is forgotten or not: forget it again. If it is, its keys are in this process's
    /// memory no longer either.
    pub async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        // First, because nobody is left to say it if this call is dropped behind the commit.
        self.cache.doubt(subject);
        self.keys.forget(subject).await?;
        self.cache.forget(subject);
        Ok(())
    }

    /// Forgets a subject as `tenant` means it.
    pub(crate) async fn forget_within(
        &self,
        tenant: Option<&TenantId>,
        subject: &Subject,
    ) -> Result<(), ForgetError> {
        let Some(tenant) = tenant else {
            return self.forget(subject).await.map_err(ForgetError::Key);
        };
        let other = || ForgetError::OtherTenant { tenant: tenant.clone() };
        let own = subject.within(tenant).ok_or_else(other)?;
        self.forget(&own).await.map_err(ForgetError::Key)
    }

    /// Gives `subject` a new key for what is sealed from now on; what the older ones sealed stays
    /// readable. Other processes go on with the key in their memory until it is too old. Returns the
    /// new key's number, or `None` if the subject was forgotten.
    ///
    /// A tenant's subject is named [in full](Subject::in_tenant) here.
    ///
    /// # Errors
    /// [`KeyError`].
    ///
    /// # Cancel safety
    /// The subject has a new key or not.
    pub async fn rotate(&self, subject: &Subject) -> Result<Option<u32>, KeyError> {
        let newest = self.keys.newest(std::slice::from_ref(subject)).await;
        let version = match newest.map_err(KeyError::Store)?.pop() {
            Some(KeyState::Forgotten) => return Ok(None),
            Some(KeyState::Kept(key)) => key.name.version.saturating_add(1),
            Some(KeyState::Missing) | None => 1,
        };
        let key = self.new_key(subject, version).await?;
        let added = self.keys.add(&[key]).await.map_err(KeyError::Store)?;
        self.cache.drop_subject(subject);
        // Another rotation at the same moment added the same number: the key is new all the same.
        Ok((!added.contains(&KeyState::Forgotten)).then_some(version))
    }

    /// Wraps all keys with the current master key that another one still wraps; returns how many.
    /// Afterwards the others can be destroyed. It may be called again at any time.
    ///
    /// A key that doesn't open is passed over and told at the end: all others are wrapped by then.
    ///
    /// # Errors
    /// [`KeyError::NotRewrapped`] names the first key that was passed over; destroy no master key
    /// then. Any other [`KeyError`] ends it where it stands. What was wrapped before stays so.
    ///
    /// # Cancel safety
    /// Every key stays readable: call it again.
    pub async fn rewrap(&self) -> Result<u64, KeyError> {
        let (mut after, mut rewrapped, mut passed_over) = (None, 0, None);
        loop {
            let master = self.wrapper.current();
            let page = self.keys.not_wrapped_by(master, after.as_ref(), KEYS_AT_ONCE).await;
            let page = page.map_err(KeyError::Store)?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            for old in &page {
                match self.unwrap(old).await {
                    Ok(secret) => rewrapped += u64::from(self.rewrap_key(old, &secret).await?),
                    // The service is away: the other keys would fare no better.
                    Err(error) if matches!(*error, WrapError::Unavailable { .. }) => {
                        return Err(KeyError::Wrap(error));
                    }
                    Err(error) => drop(passed_over.get_or_insert((old.name.clone(), error))),
                }
            }
        }
        match passed_over {
            None => Ok(rewrapped),
            Some((key, source)) => Err(KeyError::NotRewrapped { key, rewrapped, source }),
        }
    }

    async fn rewrap_key(&self, old: &StoredKey, secret: &SecretKey) -> Result<bool, KeyError> {
        let wrapped = self.wrapper.wrap(&old.name, secret).await;
        let wrapped = wrapped.map_err(|error| KeyError::Wrap(Arc::new(error)))?;
        self.keys.rewrap(old, &wrapped).await.map_err(KeyError::Store)
    }

    /// Opens what is sealed in events: read from a raw log, or brought by a broker. Data of a
    /// forgotten subject comes out as forgotten; events without personal data are left as they are.
    ///
    /// # Errors
    /// [`OpenError`] names the event that doesn't open.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn open(&self, events: Vec<RecordedEvent>) -> Result<Vec<RecordedEvent>, OpenError> {
        self.open_behind(None, events).await
    }

    /// The same for events as they come from behind a tenant's wall.
    pub(super) async fn open_behind(
        &self,
        wall: Option<&TenantId>,
        mut events: Vec<RecordedEvent>,
    ) -> Result<Vec<RecordedEvent>, OpenError> {
        let sealed: Vec<_> = events
            .iter()
            .enumerate()
            .filter(|(_, event)| SEALED.is_in(event.data.as_json()))
            .map(|(index, _)| index)
            .collect();
        if sealed.is_empty() {
            return Ok(events);
        }
        let texts: Vec<_> = sealed
            .iter()
            .map(|&index| &events[index])
            .map(|it| (Context::event(wall, &it.stream, it.id), it.data.as_json()))
            .collect();
        let opened = self.open_texts(&texts).await.map_err(|stopped| match stopped {
            Stopped::Key(error) => OpenError::Key(error),
            Stopped::At(at, source) => {
                let event = &events[sealed[at]];
                OpenError::Event { event: event.id, position: event.position, source }
            }
        })?;
        for (index, data) in sealed.into_iter().zip(opened) {
            events[index].data = data;
        }
        Ok(events)
    }

    /// Opens what is sealed in one event, for a handler of messages.
    ///
    /// # Errors
    /// As [`Vault::open`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn open_event(&self, event: RecordedEvent) -> Result<RecordedEvent, OpenError> {
        // One went in.
        self.open(vec![event]).await.map(|mut events| events.remove(0))
    }

    /// How long a subject that was forgotten elsewhere may stay readable here.
    pub(crate) fn key_age(&self) -> Duration {
        self.cache.age()
    }

    /// How often this vault and its clones have forgotten a subject, at least.
    pub(super) fn forgettings(&self) -> u64 {
        self.cache.changes()
    }

    /// True if [`Vault::seal`] has anything to say about the append.
    pub(super) fn concerns(append: &Append) -> bool {
        append.events().any(|event| {
            let json = event.data.as_json();
            PERSONAL.is_in(json) || SEALED.is_in(json)
        })
    }

    /// Seals the personal data of an append. Ids and everything else stay as they are.
    ///
    /// # Errors
    /// [`SealError`].
    ///
    /// # Cancel safety
    /// Subjects may have got their first key.
    pub async fn seal(&self, append: Append) -> Result<Append, SealError> {
        self.seal_behind(None, append).await
    }

    /// The same for an append that goes behind a tenant's wall.
    pub(super) async fn seal_behind(
        &self,
        wall: Option<&TenantId>,
        append: Append,
    ) -> Result<Append, SealError> {
        let ids: Vec<_> = append.events().map(|event| event.id).collect();
        let texts = append.streams().iter().flat_map(|part| {
            let context = |id| Context::event(wall, &part.stream, id);
            part.events.iter().map(move |event| (context(event.id), event.data.as_json()))
        });
        let sealed = self.seal_texts(&texts.collect::<Vec<_>>(), false).await;
        let sealed = sealed.map_err(|stopped| seal_error(stopped, &ids))?;
        let (mut streams, condition) = append.into_parts();
        let events = streams.iter_mut().flat_map(|part| &mut part.events);
        for (event, sealed) in events.zip(sealed) {
            if let Some(data) = sealed {
                event.data = data;
            }
        }
        Ok(Append::from_parts(streams, condition))
    }

    /// Seals the state beside a consumer's checkpoint or in a snapshot, without what belongs to a
    /// forgotten subject; `None` if it has nothing to seal.
    pub(super) async fn seal_state(
        &self,
        context: Context,
        state: &Payload,
    ) -> Result<Option<Payload>, SealStateError> {
        match self.seal_texts(&[(context, state.as_json())], true).await {
            Ok(mut sealed) => Ok(sealed.pop().flatten()),
            Err(Stopped::Key(error)) => Err(SealStateError::Key(error)),
            Err(Stopped::At(_, Unsealable::Reserved(key))) => Err(SealStateError::Reserved { key }),
            Err(Stopped::At(_, Unsealable::Forgotten)) => {
                unreachable!("a copy leaves out what belongs to a forgotten subject")
            }
            Err(Stopped::At(_, Unsealable::OtherTenant(tenant))) => {
                Err(SealStateError::OtherTenant { tenant })
            }
            Err(Stopped::At(_, Unsealable::NoRandomness)) => Err(SealStateError::NoRandomness),
        }
    }

    /// Opens the state beside a consumer's checkpoint or in a snapshot.
    pub(super) async fn open_state(
        &self,
        context: Context,
        place: &str,
        state: Payload,
    ) -> Result<Payload, OpenError> {
        if !SEALED.is_in(state.as_json()) {
            return Ok(state);
        }
        match self.open_texts(&[(context, state.as_json())]).await {
            Ok(mut opened) => Ok(opened.pop().unwrap_or(state)),
            Err(Stopped::Key(error)) => Err(OpenError::Key(error)),
            Err(Stopped::At(_, source)) => {
                Err(OpenError::State { place: place.to_owned(), source })
            }
        }
    }

    async fn seal_texts(
        &self,
        texts: &[(Context, &str)],
        is_copy: bool,
    ) -> Result<Vec<Option<Payload>>, Stopped<Unsealable>> {
        let mut keys = NewestKeys::new();
        loop {
            let mut missing = BTreeSet::new();
            let mut sealed = Vec::with_capacity(texts.len());
            for (at, (context, json)) in texts.iter().enumerate() {
                let keys = &keys;
                let mut sealing = Sealing { context, is_copy, keys, missing: &mut missing };
                sealed.push(sealing.seal(json).map_err(|error| Stopped::At(at, error))?);
            }
            if missing.is_empty() {
                let payloads = sealed.into_iter().enumerate().map(|(at, json)| {
                    let reserved = |_| Stopped::At(at, Unsealable::Reserved(PERSONAL.key));
                    json.map(Payload::from_json).transpose().map_err(reserved)
                });
                return payloads.collect();
            }
            self.fetch_newest(missing.into_iter().collect(), &mut keys).await?;
        }
    }

    async fn open_texts(
        &self,
        texts: &[(Context, &str)],
    ) -> Result<Vec<Payload>, Stopped<NodeError>> {
        let mut keys = Openers::new();
        loop {
            let mut missing = BTreeSet::new();
            let mut opened = Vec::with_capacity(texts.len());
            for (at, (context, json)) in texts.iter().enumerate() {
                let mut opening = Opening { context, keys: &keys, missing: &mut missing };
                let text = opening.open(json).map_err(|error| Stopped::At(at, error))?;
                opened.push(text.unwrap_or_else(|| (*json).to_owned()));
            }
            if missing.is_empty() {
                let payloads = opened.into_iter().enumerate().map(|(at, json)| {
                    Payload::from_json(json).map_err(|_| Stopped::At(at, NodeError::Malformed))
                });
                return payloads.collect();
            }
            // What was opened with these may show more: values lie in each other at most so deep.
            self.fetch(missing.into_iter().collect(), &mut keys).await?;
        }
    }
}

fn seal_error(stopped: Stopped<Unsealable>, ids: &[EventId]) -> SealError {
    match stopped {
        Stopped::Key(error) => SealError::Key(error),
        Stopped::At(_, Unsealable::NoRandomness) => SealError::NoRandomness,
        Stopped::At(_, Unsealable::OtherTenant(tenant)) => SealError::OtherTenant { tenant },
        Stopped::At(at, Unsealable::Forgotten) => {
            SealError::Invalid(InvalidAppend::SubjectForgotten { event: ids[at] })
        }
        Stopped::At(at, Unsealable::Reserved(key)) => {
            SealError::Invalid(InvalidAppend::ReservedKey { event: ids[at], key })
        }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("master", &self.wrapper.current()).finish_non_exhaustive()
    }
}

/// Why a state could not be sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealStateError {
    #[error("the state uses the key {key:?}, which is reserved for personal data")]
    Reserved { key: &'static str },
    #[error("a state of tenant {tenant} holds personal data of another tenant's subject")]
    OtherTenant { tenant: TenantId },
    #[error("there is no key to seal personal data with")]
    Key(#[source] KeyError),
    #[error("the system gave no random numbers to seal personal data with")]
    NoRandomness,
}

impl SealStateError {
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Reserved { .. } | Self::OtherTenant { .. } => false,
            Self::Key(error) => error.is_retryable(),
            Self::NoRandomness => true,
        }
    }
}
