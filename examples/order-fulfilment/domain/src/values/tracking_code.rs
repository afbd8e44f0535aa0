//! What a carrier knows a parcel by.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MAX_LENGTH: usize = 64;

/// A text that is no tracking code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a tracking code is 1 to {MAX_LENGTH} ASCII letters, digits and hyphens, but this one is {0:?}"
)]
pub struct InvalidTrackingCode(String);

/// The code under which a carrier knows a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct TrackingCode(String);

impl TrackingCode {
    /// A tracking code from text.
    ///
    /// # Errors
    /// [`InvalidTrackingCode`] if the text is empty, too long, or holds other characters.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidTrackingCode> {
        let text = text.into();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_plain && (1..=MAX_LENGTH).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(InvalidTrackingCode(text.chars().take(80).collect()))
        }
    }
}

impl FromStr for TrackingCode {
    type Err = InvalidTrackingCode;

    fn from_str(text: &str) -> Result<Self, InvalidTrackingCode> {
        Self::new(text)
    }
}

impl TryFrom<String> for TrackingCode {
    type Error = InvalidTrackingCode;

    fn try_from(text: String) -> Result<Self, InvalidTrackingCode> {
        Self::new(text)
    }
}

impl From<TrackingCode> for String {
    fn from(code: TrackingCode) -> Self {
        code.0
    }
}

impl fmt::Display for TrackingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
