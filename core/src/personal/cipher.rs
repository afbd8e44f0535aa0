//! Sealing bytes with a key: XChaCha20-Poly1305.
//!
//! Its nonce has 24 bytes, so random ones may be used without counting them, by any number of
//! processes.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The operating system gave no random numbers, or the value is larger than the cipher takes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a value could not be sealed: no random numbers, or too large")]
pub(super) struct CannotSeal;

/// A key of 32 bytes: of a subject, or the one that wraps those.
///
/// Its bytes are overwritten when it is dropped, and `Debug` doesn't show them.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A key of these bytes, which must be as good as random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes. Keep them out of logs and stores.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key from the operating system's random numbers.
    pub(super) fn random() -> Result<Self, CannotSeal> {
        let mut key = Self::from_bytes([0; 32]);
        getrandom::fill(&mut *key.0).map_err(|_| CannotSeal)?;
        Ok(key)
    }

    /// Seals `plain`; `context` must be the same to open it. Nonce, sealed bytes and tag in one.
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, CannotSeal> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| CannotSeal)?;
        let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .cipher()
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                context,
                (&mut sealed[NONCE_BYTES..]).into(),
            )
            .map_err(|_| CannotSeal)?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what [`SecretKey::seal`] made of it; `None` if key, context or bytes are others.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (text, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = Zeroizing::new(text.to_vec());
        self.cipher()
            .decrypt_inout_detached(
                &XNonce::from(*nonce),
                context,
                plain.as_mut_slice().into(),
                &(*tag).into(),
            )
            .ok()?;
        Some(plain)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_with_the_same_key_and_context_only() {
        let key = SecretKey::random().unwrap();
        let sealed = key.seal(b"here", b"secret").unwrap();
        assert_eq!(key.open(b"here", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"there", &sealed).is_none());
        assert!(SecretKey::random().unwrap().open(b"here", &sealed).is_none());
    }

    #[test]
    fn cut_or_changed_bytes_open_nothing() {
        let key = SecretKey::from_bytes([7; 32]);
        let sealed = key.seal(b"", b"secret").unwrap();
        for length in 0..sealed.len() {
            assert!(key.open(b"", &sealed[..length]).is_none());
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(b"", &changed).is_none());
        }
    }

    #[test]
    fn nothing_is_sealed_twice_to_the_same_bytes() {
        let key = SecretKey::from_bytes([7; 32]);
        assert_ne!(key.seal(b"", b"").unwrap(), key.seal(b"", b"").unwrap());
    }
}
