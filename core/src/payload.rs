//! The data of an event as it is stored: JSON text, checked once, by whoever takes it in.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::value::RawValue;

/// The bytes are not one JSON value.
#[derive(Debug, thiserror::Error)]
#[error("payload is not valid JSON")]
pub struct InvalidPayload(#[source] serde_json::Error);

/// The data of an event: one JSON value, kept as the text that was written.
///
/// `Debug` shows its size only: an event's data may be personal.
#[derive(Clone)]
pub struct Payload(Box<str>);

impl Payload {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// [`InvalidPayload`] if the value can't be written as JSON (a map with keys that are no text,
    /// say).
    pub fn from_value(value: &impl Serialize) -> Result<Self, InvalidPayload> {
        let json = serde_json::to_string(value).map_err(InvalidPayload)?;
        Ok(Self(json.into_boxed_str()))
    }

    /// Takes text that must be one JSON value.
    ///
    /// # Errors
    /// [`InvalidPayload`] if it isn't.
    pub fn from_json(json: String) -> Result<Self, InvalidPayload> {
        let checked = RawValue::from_string(json).map_err(InvalidPayload)?;
        refuse_lone_surrogates(checked.get())?;
        Ok(Self(checked.into()))
    }

    /// Takes text that a store has checked to be one JSON value, when it was written.
    ///
    /// It isn't looked at again, which takes a seventh off the time to load an aggregate. Text that
    /// is no JSON all the same is an [`InvalidPayload`] to whoever reads it, and an error to whoever
    /// writes it into other JSON.
    #[must_use]
    pub fn from_checked_json(json: impl Into<Box<str>>) -> Self {
        Self(json.into())
    }

    /// Reads the data as a `T`.
    ///
    /// # Errors
    /// [`InvalidPayload`] if the JSON isn't a `T`.
    pub fn to_value<T: DeserializeOwned>(&self) -> Result<T, InvalidPayload> {
        serde_json::from_str(&self.0).map_err(InvalidPayload)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// The size of the JSON text in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0.len()
    }
}

/// Half of a pair of surrogates (`"\ud83e"`) is JSON by its grammar and text to nobody: whoever
/// reads it into a string fails, for ever once it stands in a log.
fn refuse_lone_surrogates(json: &str) -> Result<(), InvalidPayload> {
    let has_surrogate = |text: &str| text.contains("\\ud") || text.contains("\\uD");
    if !has_surrogate(json) {
        return Ok(());
    }
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (literal, behind) = rest[start..].split_at(literal_bytes(&rest[start..]));
        if has_surrogate(literal) {
            serde_json::from_str::<String>(literal).map_err(InvalidPayload)?;
        }
        rest = behind;
    }
    Ok(())
}

/// How long the string literal is that valid JSON begins with here.
fn literal_bytes(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

/// As the JSON value that it is, not as text that holds JSON.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self(raw.into()))
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
    fn half_of_a_surrogate_pair_is_refused_wherever_it_stands() {
        let whole = r#"{"\ud83e\udd80": ["\\ud83e", "\"\\", 1e999, "\u00e9"]}"#;
        assert_eq!(Payload::from_json(whole.to_owned()).unwrap().as_json(), whole);
        for half in [r#""\ud83e""#, r#"["a\"", "\uDD80\uD83E"]"#, r#"{"\ud83ex": 1}"#] {
            assert!(Payload::from_json(half.to_owned()).is_err(), "{half}");
        }
    }

    #[test]
    fn in_other_json_a_payload_is_a_value_and_comes_back_as_it_was_written() {
        for text in ["{\"a\": 1}", "\"a \\\"quote\\\"\"", "null", "1e2", "[ ]"] {
            let payload = Payload::from_checked_json(text);
            let written = serde_json::to_string(&[&payload]).unwrap();
            assert_eq!(written, format!("[{text}]"));
            assert_eq!(serde_json::from_str::<Vec<Payload>>(&written).unwrap(), [payload]);
        }
    }

    #[test]
    fn text_that_a_store_should_have_checked_breaks_neither_its_reader_nor_other_json() {
        let payload = Payload::from_checked_json("1, \"injected\": true");
        assert!(payload.to_value::<u32>().is_err());
        assert!(serde_json::to_string(&[payload]).is_err());
    }

    #[test]
    fn debug_tells_nothing_of_the_data() {
        let payload = Payload::from_value(&"secret").unwrap();
        assert_eq!(format!("{payload:?}"), "Payload(8 bytes)");
    }
}
