//! Personal data: sealed with a key per person, unreadable for ever once the key is gone.
//!
//! A domain wraps what belongs to a person in [`Personal`]. A [`Vault`] seals it on its way into the
//! log and opens it on its way out ([`SealedLog`]), with keys from a [`KeyStore`] that are wrapped by
//! a master key outside of the database ([`KeyWrapper`]). Whoever reads the log without the vault
//! sees sealed text: the relay and so the broker, a dump, a replica.
//!
//! Left out: what a read model copied in plain text. Only its owner knows where that is.

pub(crate) mod marker;
#[cfg(feature = "runtime")]
mod node;
mod not_sealed;
mod subject;
mod value;

pub use not_sealed::NotSealed;
pub use subject::{InvalidSubject, Subject};
pub use value::{Personal, PersonalData};

#[cfg(feature = "runtime")]
mod cipher;
#[cfg(feature = "runtime")]
mod context;
#[cfg(feature = "runtime")]
mod key_cache;
#[cfg(feature = "runtime")]
mod key_store;
#[cfg(feature = "runtime")]
mod key_wrapper;
#[cfg(feature = "runtime")]
mod mask;
#[cfg(feature = "runtime")]
mod master_keys;
#[cfg(feature = "runtime")]
mod memory_key_store;
#[cfg(feature = "runtime")]
mod opening;
#[cfg(feature = "runtime")]
mod sealed_log;
#[cfg(feature = "runtime")]
mod sealed_snapshots;
#[cfg(feature = "runtime")]
mod sealing;
#[cfg(feature = "runtime")]
mod vault;
#[cfg(feature = "runtime")]
mod vault_error;
#[cfg(feature = "runtime")]
mod vault_keys;

#[cfg(feature = "runtime")]
pub use self::{
    cipher::SecretKey,
    key_store::{KeyName, KeyState, KeyStore, KeyStoreError, StoredKey},
    key_wrapper::{KeyWrapper, WrapError, WrappedKey},
    mask::MaskedPublisher,
    master_keys::{InvalidMasterKey, MasterKeys},
    memory_key_store::MemoryKeyStore,
    sealed_log::SealedLog,
    vault::Vault,
    vault_error::{ForgetError, KeyError, NodeError, OpenError, SealError},
};

#[cfg(all(test, feature = "runtime"))]
mod tests;
