//! Tags: what an event is about beyond its stream.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TenantId;
use crate::stream_id::holds_control_character;
use crate::tenant::split_tenant;

const MAX_TAG_BYTES: usize = 256;

/// Why a text can't be a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTag {
    /// Name or value is empty, or the name holds a `:`.
    #[error("a tag is of the form name:value, with a name that holds no ':', got {0:?}")]
    Form(String),
    /// The tag is too long for an index.
    #[error("tag has {bytes} bytes; at most {MAX_TAG_BYTES} are allowed")]
    TooLong {
        /// How long the tag is.
        bytes: usize,
    },
    /// Control characters, NUL among them, are refused.
    #[error("tag {0:?} holds a control character")]
    ControlCharacter(String),
}

/// One thing that an event is about, `name:value`, such as `course:rust-101`. Cheap to clone.
///
/// Tags are what a consistency boundary that is no aggregate is made of.
///
/// In the log as a whole a tenant's tags carry the tenant in front, `@tenant/name:value`, so that
/// equal tags of two tenants never meet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag `name:value`.
    ///
    /// # Errors
    /// [`InvalidTag`] if a part is empty, the name holds a `:`, a part holds a control character,
    /// or the whole is longer than 256 bytes.
    pub fn new(name: &str, value: impl fmt::Display) -> Result<Self, InvalidTag> {
        if name.contains(':') {
            return Err(InvalidTag::Form(shortened(name)));
        }
        Self::parse(&format!("{name}:{value}"))
    }

    /// Reads a tag of the form `name:value`.
    ///
    /// # Errors
    /// [`InvalidTag`], as for [`Tag::new`].
    pub fn parse(text: &str) -> Result<Self, InvalidTag> {
        // What one tenant may write all may: the tenant doesn't count.
        let own = split_tenant(text).map_or(text, |(_, own)| own);
        if own.len() > MAX_TAG_BYTES {
            return Err(InvalidTag::TooLong { bytes: own.len() });
        }
        if holds_control_character(text) {
            return Err(InvalidTag::ControlCharacter(shortened(text)));
        }
        match own.split_once(':') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Self(text.into())),
            _ => Err(InvalidTag::Form(shortened(text))),
        }
    }

    /// The whole tag, `name:value`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How the log as a whole knows this tag of `tenant`: for who reads the whole log and asks for
    /// one tenant's tag.
    #[must_use]
    pub fn in_tenant(&self, tenant: &TenantId) -> Self {
        Self(format!("{}{}", tenant.prefix(), self.0).into())
    }

    /// The tag as its tenant knows it; `None` if it isn't one of the tenant's.
    #[cfg(feature = "runtime")]
    pub(crate) fn as_known_to(&self, tenant: &TenantId) -> Option<Self> {
        match split_tenant(&self.0) {
            Some((name, own)) if name == tenant.as_str() => Some(Self(own.into())),
            _ => None,
        }
    }

    /// True if it names a tenant: as a tenant's own tag, or as what all events of one carry.
    #[cfg(feature = "runtime")]
    pub(crate) fn names_a_tenant(&self) -> bool {
        self.0.starts_with("@:") || split_tenant(&self.0).is_some()
    }

    /// What all events of a tenant carry. It has no `/`, so it is no tag that a tenant gave.
    pub(crate) fn of_tenant(tenant: &TenantId) -> Self {
        Self(format!("@:{tenant}").into())
    }
}

/// What an error repeats of a hostile tag.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_what_a_name_may_not() {
        assert_eq!(Tag::new("url", "a:b").unwrap().as_str(), "url:a:b");
        assert!(matches!(Tag::new("a:b", "c"), Err(InvalidTag::Form(_))));
        assert!(matches!(Tag::new("a", ""), Err(InvalidTag::Form(_))));
        assert!(matches!(Tag::new("a", "\0"), Err(InvalidTag::ControlCharacter(_))));
        assert!(matches!(Tag::new("a", "x".repeat(300)), Err(InvalidTag::TooLong { .. })));
    }
}
