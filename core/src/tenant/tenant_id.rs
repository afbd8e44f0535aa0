//! The name of a tenant, and how it is written in front of what belongs to it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
#[cfg(feature = "runtime")]
use uuid::Uuid;

#[cfg(feature = "runtime")]
use crate::EventId;
use crate::Tag;

const MAX_TENANT_BYTES: usize = 64;

/// Where tenants' masks are derived from. Never change it: stored ids carry the masks.
#[cfg(feature = "runtime")]
const MASKS: Uuid = Uuid::from_u128(0x5f0c_1a52_9d0b_4c1e_8d3a_27b6_e1f4_90c7);

/// The bits of a UUID that are random in versions 4 and 7: neither version nor variant, and not the
/// time, so that a masked id still sorts by time and fills an index from one end.
#[cfg(feature = "runtime")]
const RANDOM_BITS: u128 = (0xfff << 64) | ((1 << 62) - 1);

/// Why a text can't name a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tenant {0:?} must start with an ASCII letter or digit, hold only ASCII letters, digits, '_', \
     '-' and '.', and have 1 to {MAX_TENANT_BYTES} characters"
)]
pub struct InvalidTenantId(String);

/// Names one of the customers that share a log. Cheap to clone.
///
/// It starts with an ASCII letter or digit and holds ASCII letters, digits, `_`, `-` and `.`, at
/// most 64 of them. Upper and lower case differ.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// A tenant by its name.
    ///
    /// # Errors
    /// [`InvalidTenantId`] if the name holds anything that a tenant's name can't.
    pub fn new(name: &str) -> Result<Self, InvalidTenantId> {
        if is_tenant(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidTenantId(name.chars().take(80).collect()))
        }
    }

    /// The tenant's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag that every event of this tenant carries in the log as a whole, `@:name`. Whoever
    /// reads the whole log selects one tenant's events by it.
    #[must_use]
    pub fn tag(&self) -> Tag {
        Tag::of_tenant(self)
    }

    /// What stands in front of this tenant's names: `@name/`.
    pub(crate) fn prefix(&self) -> String {
        format!("@{}/", self.0)
    }

    /// An event id as the whole log knows it from how this tenant does, and the other way round.
    ///
    /// Ids are often derived, from a command's id or an idempotency key, so two tenants come to equal
    /// ones; in the log they are told apart by the tenant. Whoever carries an event's id across the
    /// border (to [`TenantStore`](crate::TenantStore), or from it to a reader of the whole log)
    /// translates it.
    #[cfg(feature = "runtime")]
    #[must_use]
    pub fn translated(&self, id: EventId) -> EventId {
        masked(id, self.mask())
    }

    /// What tells this tenant's event ids from equal ones of others: see [`masked`].
    #[cfg(feature = "runtime")]
    pub(crate) fn mask(&self) -> u128 {
        Uuid::new_v5(&MASKS, self.0.as_bytes()).as_u128() & RANDOM_BITS
    }
}

/// An event id between how its tenant knows it and how the whole log does: the same step both ways.
///
/// Ids are often derived (from a command's id, from an idempotency key), so two tenants come to
/// equal ones. Unmasked, the second would be told that its id is taken, and know by that what the
/// other one has done.
#[cfg(feature = "runtime")]
pub(crate) fn masked(id: EventId, mask: u128) -> EventId {
    EventId::from_uuid(Uuid::from_u128(id.as_uuid().as_u128() ^ mask))
}

/// Takes `@tenant/rest` apart; `None` if the text doesn't begin with a tenant.
///
/// No tenant holds a `/`, so there is one way to read it.
pub(crate) fn split_tenant(text: &str) -> Option<(&str, &str)> {
    let (tenant, rest) = text.strip_prefix('@')?.split_once('/')?;
    is_tenant(tenant).then_some((tenant, rest))
}

fn is_tenant(name: &str) -> bool {
    name.len() <= MAX_TENANT_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({})", self.0)
    }
}

impl std::str::FromStr for TenantId {
    type Err = InvalidTenantId;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

impl Serialize for TenantId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_a_plain_word_and_a_hostile_one_is_refused_and_not_repeated_whole() {
        for name in ["a", "7", "Acme", "acme.eu-1_b", &"x".repeat(64)] {
            assert_eq!(TenantId::new(name).unwrap().as_str(), name);
        }
        let long = "x".repeat(10_000);
        for name in ["", ".", "-a", "@a", "a/b", "a:b", "a b", "ä", "a\0", "a\n", "'", &long] {
            let error = TenantId::new(name).unwrap_err().to_string();
            assert!(error.len() < 400, "{error}");
        }
    }

    #[test]
    fn a_mask_undoes_itself_and_leaves_version_variant_and_time_alone() {
        let (acme, bolt) = (TenantId::new("acme").unwrap(), TenantId::new("bolt").unwrap());
        let id = EventId::new();
        let of_acme = masked(id, acme.mask());
        assert_eq!(masked(of_acme, acme.mask()), id);
        assert_ne!(of_acme, id);
        assert_ne!(of_acme, masked(id, bolt.mask()));
        let (before, after) = (id.as_uuid(), of_acme.as_uuid());
        assert_eq!(before.as_bytes()[..6], after.as_bytes()[..6]);
        assert_eq!(
            (before.get_version(), before.get_variant()),
            (after.get_version(), after.get_variant())
        );
    }

    #[test]
    fn the_masks_of_many_tenants_differ() {
        let mask = |number: u32| TenantId::new(&number.to_string()).unwrap().mask();
        let masks: std::collections::HashSet<u128> = (0..10_000).map(mask).collect();
        assert_eq!(masks.len(), 10_000);
    }
}
