//! The name of a stream: a category and a key, and in front of them the tenant it belongs to.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TenantId;
use crate::tenant::split_tenant;

const MAX_CATEGORY_BYTES: usize = 64;
const MAX_STREAM_BYTES: usize = 512;

/// Why a text can't name a stream or a category.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStreamId {
    /// A category is a plain word: ASCII letters, digits, `_` and `.`, starting with a letter.
    #[error(
        "category {0:?} must start with an ASCII letter, hold only ASCII letters, digits, '_' and \
         '.', and have at most {MAX_CATEGORY_BYTES} characters"
    )]
    Category(String),
    /// The text starts with `@`, and what follows isn't a tenant and a `/`.
    #[error("stream {0:?} starts with '@' but not with a tenant, as in @tenant/category-key")]
    Tenant(String),
    /// There is nothing behind the category.
    #[error("stream of category {0:?} has an empty key")]
    EmptyKey(String),
    /// Control characters, NUL among them, are refused.
    #[error("stream {0:?} holds a control character")]
    ControlCharacter(String),
    /// The whole name is too long for an index.
    #[error("stream name has {bytes} bytes; at most {MAX_STREAM_BYTES} are allowed")]
    TooLong {
        /// How long the name is.
        bytes: usize,
    },
    /// The text has no `-` between category and key.
    #[error("stream {0:?} is not of the form category-key")]
    NoSeparator(String),
}

/// What kind of thing a stream is about, such as `order`.
///
/// A category starts with an ASCII letter and holds ASCII letters, digits, `_` and `.`, at most 64
/// of them. It never holds a `-`: the first one in a stream's name ends the category.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(Arc<str>);

impl Category {
    /// A category by its name.
    ///
    /// # Errors
    /// [`InvalidStreamId::Category`] if the name isn't a plain word.
    pub fn new(name: &str) -> Result<Self, InvalidStreamId> {
        if is_category(name) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidStreamId::Category(shortened(name)))
        }
    }

    /// The category's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a stream, `category-key`, such as `order-01J9ZC…`. Cheap to clone.
///
/// The key may hold any text but control characters; the name has at most 512 bytes.
///
/// A tenant's stream carries the tenant in front: `@tenant/category-key`. As no category starts
/// with `@`, a stream without a tenant is never taken for one of a tenant, whatever its key holds.
/// The tenant doesn't count towards the 512 bytes, so that what one tenant may name all may.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    name: Arc<str>,
    /// How long `@tenant/` is; 0 without a tenant.
    tenant_bytes: u8,
    category_bytes: u8,
}

impl StreamId {
    /// The stream of `category` about the thing that `key` names.
    ///
    /// # Errors
    /// [`InvalidStreamId`] says what is wrong with the category or the key.
    pub fn new(category: &str, key: impl fmt::Display) -> Result<Self, InvalidStreamId> {
        if !is_category(category) {
            return Err(InvalidStreamId::Category(shortened(category)));
        }
        Self::checked(&format!("{category}-{key}"), 0, category.len())
    }

    /// Reads a stream's full name.
    ///
    /// # Errors
    /// [`InvalidStreamId`] if the text isn't of the form `category-key` or `@tenant/category-key`.
    pub fn parse(name: &str) -> Result<Self, InvalidStreamId> {
        let own = match split_tenant(name) {
            Some((_, own)) => own,
            None if name.starts_with('@') => return Err(InvalidStreamId::Tenant(shortened(name))),
            None => name,
        };
        let category = own
            .bytes()
            .position(|byte| byte == b'-')
            .ok_or_else(|| InvalidStreamId::NoSeparator(shortened(name)))?;
        if !is_category(&own[..category]) {
            return Err(InvalidStreamId::Category(shortened(&own[..category])));
        }
        Self::checked(name, name.len() - own.len(), category)
    }

    fn checked(
        name: &str,
        tenant_bytes: usize,
        category_bytes: usize,
    ) -> Result<Self, InvalidStreamId> {
        let own = &name[tenant_bytes..];
        if own.len() == category_bytes + 1 {
            return Err(InvalidStreamId::EmptyKey(own[..category_bytes].to_owned()));
        }
        if own.len() > MAX_STREAM_BYTES {
            return Err(InvalidStreamId::TooLong { bytes: own.len() });
        }
        if holds_control_character(name) {
            return Err(InvalidStreamId::ControlCharacter(shortened(name)));
        }
        Ok(Self {
            name: name.into(),
            // A tenant has at most 64 bytes, and so has a category.
            tenant_bytes: tenant_bytes as u8,
            category_bytes: category_bytes as u8,
        })
    }

    /// The full name, `category-key` or `@tenant/category-key`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The tenant that the stream belongs to.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        // What was checked when the stream was named is valid.
        self.tenant_name().and_then(|name| TenantId::new(name).ok())
    }

    /// The tenant's name, for comparing.
    pub(crate) fn tenant_name(&self) -> Option<&str> {
        // Between the '@' and the '/'.
        (self.tenant_bytes > 0).then(|| &self.name[1..usize::from(self.tenant_bytes) - 1])
    }

    /// The kind of thing that the stream is about: the part before the first `-`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.own_name()[..usize::from(self.category_bytes)]
    }

    /// Which thing it is: the part behind the first `-`. Things of two tenants may have one key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.own_name()[usize::from(self.category_bytes) + 1..]
    }

    /// The stream of this category and key that belongs to `tenant`, whoever this one belongs to.
    #[must_use]
    pub fn in_tenant(&self, tenant: &TenantId) -> Self {
        let prefix = tenant.prefix();
        Self {
            name: format!("{prefix}{}", self.own_name()).into(),
            // A tenant has at most 64 bytes.
            tenant_bytes: prefix.len() as u8,
            category_bytes: self.category_bytes,
        }
    }

    /// The stream of this category and key that belongs to no tenant.
    #[must_use]
    pub fn without_tenant(&self) -> Self {
        match self.tenant_bytes {
            0 => self.clone(),
            _ => Self { name: self.own_name().into(), tenant_bytes: 0, ..*self },
        }
    }

    /// `category-key`.
    fn own_name(&self) -> &str {
        &self.name[usize::from(self.tenant_bytes)..]
    }
}

fn is_category(name: &str) -> bool {
    name.len() <= MAX_CATEGORY_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

/// A row of the log costs this look, so it takes text apart only where a byte could be, or begin, a
/// control character (those behind ASCII, U+0080 to U+009F, begin with C2), and looks for such a byte
/// at every one: many at a time, and not one by one until there is none.
pub(crate) fn holds_control_character(text: &str) -> bool {
    let may_begin_one = |byte: u8| byte.is_ascii_control() | (byte == 0xC2);
    text.bytes().fold(false, |found, byte| found | may_begin_one(byte))
        && text.chars().any(char::is_control)
}

/// What an error repeats of a hostile name: enough to find it, never ten kilobytes of it.
fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Category({})", self.0)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({})", self.name)
    }
}

impl std::str::FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

impl Serialize for StreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_at_the_first_dash() {
        let stream = StreamId::parse("order-2024-11-01").unwrap();
        assert_eq!((stream.category(), stream.key()), ("order", "2024-11-01"));
        assert_eq!(StreamId::new("order", "2024-11-01").unwrap(), stream);
    }

    #[test]
    fn a_tenant_stands_in_front_and_no_key_is_taken_for_one() {
        let acme = TenantId::new("acme").unwrap();
        let plain = StreamId::new("order", "7").unwrap();
        let stream = plain.in_tenant(&acme);
        assert_eq!(stream.as_str(), "@acme/order-7");
        assert_eq!((stream.category(), stream.key()), ("order", "7"));
        assert_eq!(stream.tenant(), Some(acme.clone()));
        assert_eq!(StreamId::parse(stream.as_str()).unwrap(), stream);
        assert_eq!(stream.without_tenant(), plain);
        assert_eq!(stream.in_tenant(&TenantId::new("b").unwrap()).as_str(), "@b/order-7");
        assert_ne!(stream, plain);
        for key in ["@acme/order-7", "/acme", "acme/order-7", "@acme"] {
            let stream = StreamId::new("order", key).unwrap();
            assert_eq!((stream.tenant(), stream.key()), (None, key));
            let of_acme = StreamId::parse(stream.in_tenant(&acme).as_str()).unwrap();
            assert_eq!((of_acme.tenant(), of_acme.key()), (Some(acme.clone()), key));
        }
    }

    #[test]
    fn what_only_looks_like_a_tenant_is_no_stream() {
        for name in ["@/order-7", "@acme", "@acme/", "@ac me/order-7", "@-a/order-7", "@é/order-7"]
        {
            assert!(StreamId::parse(name).is_err(), "{name}");
        }
        for name in ["@acme/-7", "@acme/@bolt/order-7", "@acme/7-a", "@acme/order-", "@acme/a\0-b"]
        {
            assert!(StreamId::parse(name).is_err(), "{name}");
        }
        assert!(StreamId::new("@acme/order", "7").is_err());
        let long = format!("@{}/order-{}", "t".repeat(64), "k".repeat(MAX_STREAM_BYTES - 6));
        assert_eq!(StreamId::parse(&long).unwrap().as_str(), long);
        assert!(StreamId::parse(&format!("{long}k")).is_err());
    }

    #[test]
    fn quotes_and_emoji_are_ordinary_keys() {
        for key in ["'; DROP TABLE events; --", "\"", "🦀", "a/b c"] {
            let stream = StreamId::new("order", key).unwrap();
            assert_eq!(StreamId::parse(stream.as_str()).unwrap().key(), key);
        }
    }

    #[test]
    fn every_control_character_is_found_and_nothing_else() {
        for c in (0..=0x2FFF).filter_map(char::from_u32) {
            assert_eq!(holds_control_character(&format!("a{c}b")), c.is_control(), "{c:?}");
        }
    }

    #[test]
    fn hostile_names_are_refused_and_not_repeated_whole() {
        assert!(matches!(
            StreamId::new("order", "a\0b"),
            Err(InvalidStreamId::ControlCharacter(_))
        ));
        assert!(matches!(
            StreamId::new("order", "x".repeat(10_000)),
            Err(InvalidStreamId::TooLong { bytes: 10_006 })
        ));
        let message = Category::new(&"9".repeat(10_000)).unwrap_err().to_string();
        assert!(message.len() < 300, "{message}");
        assert!(matches!(StreamId::new("order", ""), Err(InvalidStreamId::EmptyKey(_))));
        assert!(matches!(StreamId::parse("order"), Err(InvalidStreamId::NoSeparator(_))));
    }
}
