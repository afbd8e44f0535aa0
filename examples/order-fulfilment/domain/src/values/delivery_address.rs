//! Where a parcel goes, and to whom.
//!
//! It is personal: nothing here shows it, neither `Debug` nor an error.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_CHARS: usize = 200;

/// A text that nobody writes on a parcel. The text itself stays out: it may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a line of an address has 1 to {MAX_CHARS} characters, none of them a control character; this \
     one has {chars}"
)]
pub struct InvalidAddressLine {
    chars: usize,
}

/// One line on a parcel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AddressLine(String);

impl AddressLine {
    /// A line from text.
    ///
    /// # Errors
    /// [`InvalidAddressLine`] if it is empty, too long, or holds a control character.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidAddressLine> {
        let text = text.into();
        let chars = text.chars().count();
        let is_valid = (1..=MAX_CHARS).contains(&chars) && !text.chars().any(char::is_control);
        if is_valid { Ok(Self(text)) } else { Err(InvalidAddressLine { chars }) }
    }

    /// The line as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AddressLine {
    type Error = InvalidAddressLine;

    fn try_from(text: String) -> Result<Self, InvalidAddressLine> {
        Self::new(text)
    }
}

impl From<AddressLine> for String {
    fn from(line: AddressLine) -> Self {
        line.0
    }
}

impl fmt::Debug for AddressLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressLine(…)")
    }
}

/// Where a parcel goes, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryAddress {
    /// Who gets it.
    pub name: AddressLine,
    /// Street and number.
    pub street: AddressLine,
    /// The town, with whatever the post wants beside it.
    pub town: AddressLine,
}
