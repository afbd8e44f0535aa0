//! Who wraps subjects' keys, so that the database alone opens nothing.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

use super::{KeyName, SecretKey};

/// A subject's key, sealed by a master key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// Which master key opens it.
    pub master: String,
    /// The sealed key.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedKey").field("master", &self.master).finish_non_exhaustive()
    }
}

/// Why a key could not be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// A master key that isn't at hand wraps the key. Another process may have been given it before
    /// this one, so it counts as something that passes.
    #[error(
        "master key {master:?} is not at hand; give it to this process too, behind the one that is \
         to wrap new keys"
    )]
    UnknownMaster {
        /// Its name.
        master: String,
    },
    /// The master key of that name doesn't open the key: it is another one, or the stored key was
    /// changed or moved.
    #[error("master key {master:?} does not open the stored key")]
    Refused {
        /// Its name.
        master: String,
    },
    /// The service that wraps keys can't be reached, or the system gives no random numbers.
    #[error("keys can't be wrapped just now")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl WrapError {
    /// True if the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::UnknownMaster { .. } | Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }
}

/// Wraps keys with a master key: [`MasterKeys`](super::MasterKeys) in this process, or a service that
/// never gives its own key away.
///
/// # Contract
/// - What `wrap` returns MUST be useless without the master key, and MUST name it.
/// - `unwrap_key` MUST return the key only for the name that it was wrapped under.
/// - The name of a master key MUST NOT be given to another one, ever.
#[async_trait]
pub trait KeyWrapper: Send + Sync + 'static {
    /// The name of the master key that wraps new keys.
    fn current(&self) -> &str;

    /// Wraps `key` with the current master key.
    ///
    /// # Errors
    /// [`WrapError`].
    async fn wrap(&self, name: &KeyName, key: &SecretKey) -> Result<WrappedKey, WrapError>;

    /// Opens a wrapped key.
    ///
    /// # Errors
    /// [`WrapError`].
    async fn unwrap_key(&self, name: &KeyName, key: &WrappedKey) -> Result<SecretKey, WrapError>;
}
