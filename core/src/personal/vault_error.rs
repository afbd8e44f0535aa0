//! Why personal data could not be sealed, opened or forgotten. None of it shows what is personal.

use std::sync::Arc;

use super::node::NotANode;
use super::{KeyName, KeyStoreError, WrapError};
use crate::{EventId, GlobalPosition, InvalidAppend, TenantId};

/// A subject's key can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The store of keys failed.
    #[error("the keys of subjects could not be read or written")]
    Store(#[source] KeyStoreError),
    /// A key could not be wrapped or unwrapped.
    #[error("a subject's key could not be wrapped or unwrapped")]
    Wrap(#[source] Arc<WrapError>),
    /// A key doesn't open, so it could not be wrapped anew. All others were.
    #[error(
        "key {} of a subject does not open and is wrapped as before, {rewrapped} others were wrapped \
         anew; keep the master keys that it may need",
        .key.version
    )]
    NotRewrapped {
        /// The first one, if there are several.
        key: KeyName,
        /// How many others were wrapped anew.
        rewrapped: u64,
        /// Why it doesn't open.
        #[source]
        source: Arc<WrapError>,
    },
}

impl KeyError {
    /// True if the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Wrap(error) => error.is_retryable(),
            Self::NotRewrapped { source, .. } => source.is_retryable(),
        }
    }
}

/// Why an append could not be sealed. Nothing was appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The data can't be sealed, ever.
    #[error("the personal data of the append can't be sealed")]
    Invalid(#[source] InvalidAppend),
    /// A tenant's event holds personal data of a subject that names another tenant.
    #[error(
        "an event of tenant {tenant} holds personal data of another tenant's subject; make a value \
         of the tenant's own"
    )]
    OtherTenant {
        /// Whose event it is.
        tenant: TenantId,
    },
    /// A key can't be had.
    #[error("there is no key to seal personal data with")]
    Key(#[source] KeyError),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers to seal personal data with")]
    NoRandomness,
}

impl SealError {
    /// True if the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::OtherTenant { .. } => false,
            Self::Key(error) => error.is_retryable(),
            Self::NoRandomness => true,
        }
    }
}

/// What is wrong with a sealed value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Its key was used for something else, or it was cut.
    #[error("a reserved key holds what no vault writes")]
    Malformed,
    /// Values lie in each other deeper than any vault writes them.
    #[error("sealed values lie in each other too deep")]
    TooDeep,
    /// The key store has never had the key: it is another one, or was restored from too old a copy.
    #[error("key {version} of the subject is not in the key store, and was not forgotten")]
    NoKey {
        /// Which of the subject's keys.
        version: u32,
    },
    /// The subject's key can't be unwrapped.
    #[error("key {version} of the subject can't be unwrapped")]
    Wrapped {
        /// Which of the subject's keys.
        version: u32,
        /// Why not.
        #[source]
        source: Arc<WrapError>,
    },
    /// The text was changed, cut, or moved here from somewhere else.
    #[error("a value sealed with key {version} of the subject was changed, or belongs elsewhere")]
    NotAuthentic {
        /// Which of the subject's keys.
        version: u32,
    },
}

impl From<NotANode> for NodeError {
    fn from(_: NotANode) -> Self {
        Self::Malformed
    }
}

/// Why sealed data could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A key can't be had just now.
    #[error("there is no key to open personal data with")]
    Key(#[source] KeyError),
    /// What is sealed in an event doesn't open.
    #[error("personal data of event {event} at position {position} doesn't open")]
    Event {
        /// The event.
        event: EventId,
        /// Where it stands in the log.
        position: GlobalPosition,
        /// What is wrong.
        #[source]
        source: NodeError,
    },
    /// What is sealed in a snapshot or beside a checkpoint doesn't open.
    #[error("personal data in {place} doesn't open")]
    State {
        /// Whose state.
        place: String,
        /// What is wrong.
        #[source]
        source: NodeError,
    },
}

impl OpenError {
    /// True if the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Key(error) if error.is_retryable())
    }
}

/// Why a subject could not be forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The application was built without a vault.
    #[error("the application has no vault; build it with `personal_data`")]
    NoVault,
    /// The subject names another tenant.
    #[error("the subject isn't one of tenant {tenant}; forget it where it belongs")]
    OtherTenant {
        /// Who was asked.
        tenant: TenantId,
    },
    /// The keys could not be deleted: forget the subject again.
    #[error("the subject's keys could not be deleted")]
    Key(#[source] KeyStoreError),
}

impl ForgetError {
    /// True if the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Key(_))
    }
}
