//! What identifies a product.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_LENGTH: usize = 64;

/// A text that is no product id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a product id is 1 to {MAX_LENGTH} lower-case letters, digits and single hyphens between them, such as \
     blue-teapot-2, but this one is {0:?}"
)]
pub struct InvalidProductId(String);

/// Identifies a product by a short name, such as `blue-teapot-2`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct ProductId(String);

impl ProductId {
    /// A product id from text.
    ///
    /// # Errors
    /// [`InvalidProductId`] if the text is no such short name.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidProductId> {
        let text = text.into();
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if text.len() <= MAX_LENGTH && text.split('-').all(is_word) {
            Ok(Self(text))
        } else {
            // Enough to recognise it by, never ten kilobytes of it.
            Err(InvalidProductId(text.chars().take(80).collect()))
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProductId {
    type Err = InvalidProductId;

    fn from_str(text: &str) -> Result<Self, InvalidProductId> {
        Self::new(text)
    }
}

impl TryFrom<String> for ProductId {
    type Error = InvalidProductId;

    fn try_from(text: String) -> Result<Self, InvalidProductId> {
        Self::new(text)
    }
}

impl From<ProductId> for String {
    fn from(id: ProductId) -> Self {
        id.0
    }
}

impl fmt::Display for ProductId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
