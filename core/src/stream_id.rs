//! The name of a stream: a category and a key.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
/// The key may hold any text but control characters; the whole name has at most 512 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    name: Arc<str>,
    category_bytes: u16,
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
        Self::checked(format!("{category}-{key}"), category.len())
    }

    /// Reads a stream's full name.
    ///
    /// # Errors
    /// [`InvalidStreamId`] if the text isn't of the form `category-key`.
    pub fn parse(name: &str) -> Result<Self, InvalidStreamId> {
        let category =
            name.find('-').ok_or_else(|| InvalidStreamId::NoSeparator(shortened(name)))?;
        if !is_category(&name[..category]) {
            return Err(InvalidStreamId::Category(shortened(&name[..category])));
        }
        Self::checked(name.to_owned(), category)
    }

    fn checked(name: String, category_bytes: usize) -> Result<Self, InvalidStreamId> {
        if name.len() == category_bytes + 1 {
            return Err(InvalidStreamId::EmptyKey(name[..category_bytes].to_owned()));
        }
        if name.len() > MAX_STREAM_BYTES {
            return Err(InvalidStreamId::TooLong { bytes: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(InvalidStreamId::ControlCharacter(shortened(&name)));
        }
        Ok(Self {
            name: name.into(),
            // A category has at most 64 bytes.
            category_bytes: category_bytes as u16,
        })
    }

    /// The full name, `category-key`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The part before the first `-`.
    #[must_use]
    pub fn category(&self) -> &str {
        &self.name[..usize::from(self.category_bytes)]
    }

    /// The part behind the first `-`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.name[usize::from(self.category_bytes) + 1..]
    }
}

fn is_category(name: &str) -> bool {
    name.len() <= MAX_CATEGORY_BYTES
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
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
    fn quotes_and_emoji_are_ordinary_keys() {
        for key in ["'; DROP TABLE events; --", "\"", "🦀", "a/b c"] {
            let stream = StreamId::new("order", key).unwrap();
            assert_eq!(StreamId::parse(stream.as_str()).unwrap().key(), key);
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
