//! Master keys that this process holds: from its configuration, never from the database.

use std::fmt;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};
use zeroize::Zeroizing;

use super::context::bound;
use super::{KeyName, KeyWrapper, SecretKey, WrapError, WrappedKey};

const KEY_BYTES: usize = 32;

/// Why a text names no master keys. Nothing of the text is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMasterKey {
    /// There is none.
    #[error("there is no master key; write name:base64, the current one first")]
    Missing,
    /// One isn't of the form `name:base64`.
    #[error("master key number {number} is not of the form name:base64")]
    Form {
        /// Which one, counted from 1.
        number: usize,
    },
    /// A key isn't base64 of 32 bytes.
    #[error("master key number {number} is not the base64 of exactly {KEY_BYTES} bytes")]
    Length {
        /// Which one, counted from 1.
        number: usize,
    },
    /// A name stands there twice.
    #[error("master key number {number} has the name of one before it")]
    NameTwice {
        /// Which one, counted from 1.
        number: usize,
    },
}

/// Master keys, each under a name: one wraps new keys, the older ones still open what they wrapped.
///
/// To replace a master key, restart every process twice: first with the new one as an *older* key, so
/// that all can open what it wraps, then with the new one as the current and the old one as an older
/// key. Then call [`Vault::rewrap`](super::Vault::rewrap) and destroy the old one. A copy of the
/// database from before that moment then opens nothing any more. In one round, a process that still
/// has the old one alone pauses at what the others seal ([`WrapError::UnknownMaster`]).
///
/// # Examples
/// ```
/// use highwater::MasterKeys;
///
/// // In production: MasterKeys::parse(&std::env::var("MASTER_KEYS")?)?
/// let text = "2027://////////////////////////////////////////8=";
/// let keys = MasterKeys::parse(text)?;
/// # Ok::<(), highwater::InvalidMasterKey>(())
/// ```
pub struct MasterKeys {
    /// The first is the current one.
    keys: Vec<(String, SecretKey)>,
}

impl MasterKeys {
    /// One master key of 32 bytes that are as good as random. Never give its name to another key.
    #[must_use]
    pub fn new(name: impl Into<String>, key: SecretKey) -> Self {
        Self { keys: vec![(name.into(), key)] }
    }

    /// Adds an older master key, which opens what it wrapped and wraps nothing more.
    #[must_use]
    pub fn with_older(mut self, name: impl Into<String>, key: SecretKey) -> Self {
        self.keys.push((name.into(), key));
        self
    }

    /// Reads master keys as a secret of the deployment holds them: `name:base64`, several separated
    /// by commas, the current one first.
    ///
    /// # Errors
    /// [`InvalidMasterKey`] says which one is wrong, and never what it is.
    pub fn parse(text: &str) -> Result<Self, InvalidMasterKey> {
        let mut keys: Vec<(String, SecretKey)> = Vec::new();
        for (index, key) in text.split(',').map(str::trim).enumerate() {
            let number = index + 1;
            if key.is_empty() && index == 0 {
                return Err(InvalidMasterKey::Missing);
            }
            let (name, key) = key.split_once(':').ok_or(InvalidMasterKey::Form { number })?;
            if name.is_empty() {
                return Err(InvalidMasterKey::Form { number });
            }
            if keys.iter().any(|(known, _)| known == name) {
                return Err(InvalidMasterKey::NameTwice { number });
            }
            let bytes = BASE64_STANDARD.decode(key).map(Zeroizing::new);
            let bytes = bytes.map_err(|_| InvalidMasterKey::Length { number })?;
            let bytes: [u8; KEY_BYTES] =
                bytes.as_slice().try_into().map_err(|_| InvalidMasterKey::Length { number })?;
            keys.push((name.to_owned(), SecretKey::from_bytes(bytes)));
        }
        Ok(Self { keys })
    }

    fn wrap_with(
        name: &KeyName,
        key: &SecretKey,
        (master, secret): &(String, SecretKey),
    ) -> Result<WrappedKey, WrapError> {
        let bytes = secret
            .seal(&seal_of(name, master), key.as_bytes())
            .map_err(|error| WrapError::Unavailable { source: Box::new(error) })?;
        Ok(WrappedKey { master: master.clone(), bytes })
    }
}

/// What is authenticated along with a wrapped key, so that it is nobody else's.
fn seal_of(name: &KeyName, master: &str) -> Vec<u8> {
    let version = name.version.to_be_bytes();
    let subject = name.subject.as_str().as_bytes();
    bound(&[b"highwater subject key 1", master.as_bytes(), subject, &version])
}

#[async_trait]
impl KeyWrapper for MasterKeys {
    fn current(&self) -> &str {
        self.keys.first().map_or("", |(name, _)| name)
    }

    async fn wrap(&self, name: &KeyName, key: &SecretKey) -> Result<WrappedKey, WrapError> {
        match self.keys.first() {
            Some(master) => Self::wrap_with(name, key, master),
            None => Err(WrapError::UnknownMaster { master: String::new() }),
        }
    }

    async fn unwrap_key(&self, name: &KeyName, key: &WrappedKey) -> Result<SecretKey, WrapError> {
        let master = key.master.clone();
        let Some((_, secret)) = self.keys.iter().find(|(known, _)| *known == master) else {
            return Err(WrapError::UnknownMaster { master });
        };
        let opened = secret.open(&seal_of(name, &master), &key.bytes);
        match opened.as_deref().map(|bytes| <[u8; KEY_BYTES]>::try_from(bytes.as_slice())) {
            Some(Ok(bytes)) => Ok(SecretKey::from_bytes(bytes)),
            _ => Err(WrapError::Refused { master }),
        }
    }
}

/// Names them, and shows none.
impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    fn name(subject: &str, version: u32) -> KeyName {
        KeyName { subject: Subject::new(subject).unwrap(), version }
    }

    #[tokio::test]
    async fn a_wrapped_key_opens_under_its_own_name_and_master_only() {
        let masters = MasterKeys::new("a", SecretKey::from_bytes([1; 32]));
        let key = SecretKey::random().unwrap();
        let wrapped = masters.wrap(&name("s", 1), &key).await.unwrap();
        let opened = masters.unwrap_key(&name("s", 1), &wrapped).await.unwrap();
        assert_eq!(opened.as_bytes(), key.as_bytes());
        for other in [name("s", 2), name("t", 1)] {
            let error = masters.unwrap_key(&other, &wrapped).await.unwrap_err();
            assert!(matches!(error, WrapError::Refused { .. }));
        }
        let impostor = MasterKeys::new("a", SecretKey::from_bytes([2; 32]));
        let error = impostor.unwrap_key(&name("s", 1), &wrapped).await.unwrap_err();
        assert!(matches!(error, WrapError::Refused { .. }));
        let newer = MasterKeys::new("b", SecretKey::from_bytes([2; 32]));
        let error = newer.unwrap_key(&name("s", 1), &wrapped).await.unwrap_err();
        assert!(matches!(&error, WrapError::UnknownMaster { master } if master == "a"));
        let both = newer.with_older("a", SecretKey::from_bytes([1; 32]));
        assert!(both.unwrap_key(&name("s", 1), &wrapped).await.is_ok());
        assert_eq!(both.wrap(&name("s", 1), &key).await.unwrap().master, "b");
    }

    #[test]
    fn master_keys_are_read_from_text_and_never_shown() {
        let key = BASE64_STANDARD.encode([5; 32]);
        let keys = MasterKeys::parse(&format!("new:{key}, old:{key}")).unwrap();
        assert_eq!((keys.current(), keys.keys.len()), ("new", 2));
        assert_eq!(format!("{keys:?}"), "[\"new\", \"old\"]");
        let wrong = |text: &str| MasterKeys::parse(text).unwrap_err();
        assert_eq!(wrong(" "), InvalidMasterKey::Missing);
        assert_eq!(wrong(&key), InvalidMasterKey::Form { number: 1 });
        assert_eq!(wrong(&format!("a:{key},")), InvalidMasterKey::Form { number: 2 });
        assert_eq!(wrong("a:AAAA"), InvalidMasterKey::Length { number: 1 });
        assert_eq!(wrong("a:no base64"), InvalidMasterKey::Length { number: 1 });
        assert_eq!(wrong(&format!("a:{key},a:{key}")), InvalidMasterKey::NameTwice { number: 2 });
    }
}
