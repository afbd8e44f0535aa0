//! The data of an event as it is stored: JSON text, checked once.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The bytes are not one JSON value.
#[derive(Debug, thiserror::Error)]
#[error("payload is not valid JSON")]
pub struct InvalidPayload(#[source] serde_json::Error);

/// The data of an event: one JSON value, kept as the text that was written.
///
/// `Debug` shows its size only: an event's data may be personal.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Payload(Box<RawValue>);

impl Payload {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`InvalidPayload`] if the value can't be written as JSON (a map with keys that are no text,
    /// say).
    pub fn from_value(value: &impl Serialize) -> Result<Self, InvalidPayload> {
        serde_json::value::to_raw_value(value).map(Self).map_err(InvalidPayload)
    }

    /// Takes text that must be one JSON value.
    ///
    /// # Errors
    /// [`InvalidPayload`] if it isn't.
    pub fn from_json(json: String) -> Result<Self, InvalidPayload> {
        RawValue::from_string(json).map(Self).map_err(InvalidPayload)
    }

    /// Reads the data as a `T`.
    ///
    /// # Errors
    /// [`InvalidPayload`] if the JSON isn't a `T`.
    pub fn to_value<T: DeserializeOwned>(&self) -> Result<T, InvalidPayload> {
        serde_json::from_str(self.0.get()).map_err(InvalidPayload)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.0.get()
    }

    /// The size of the JSON text in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.get().len()
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.as_json() == other.as_json()
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.size_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_refused() {
        assert!(Payload::from_json("{\"a\":".to_owned()).is_err());
        assert!(Payload::from_json("{} {}".to_owned()).is_err());
        assert_eq!(Payload::from_json("{\"a\": 1}".to_owned()).unwrap().as_json(), "{\"a\": 1}");
    }

    #[test]
    fn debug_tells_nothing_of_the_data() {
        let payload = Payload::from_value(&"secret").unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
