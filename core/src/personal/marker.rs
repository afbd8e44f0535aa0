//! Finding the reserved keys in JSON text, without parsing it.
//!
//! # Why a search for bytes is enough, and is never fooled
//! 1. Within valid JSON a quote inside a string is escaped. So the bytes `"$personal"` are either a
//!    whole string of their own, or their first quote is an escaped one, which a backslash precedes.
//!    No string opens behind a backslash, and behind a string's closing quote stands no `$`.
//! 2. A whole string is a key if a colon follows it, and a value if not. Values are anybody's.
//! 3. From 1 and 2: a hit without a backslash before it and with a colon behind it is a key, whatever
//!    else the text holds; and every key that `Personal` or a vault writes is hit, because serde
//!    writes `$` as it is.
//!
//! A key that spells the dollar as `\u0024` isn't hit: nothing of ours writes that, so what stands
//! there is the data of whoever wrote it by hand.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// A reserved key.
pub(crate) struct Marker {
    #[cfg(feature = "runtime")]
    pub(crate) key: &'static str,
    /// The key in its quotes.
    finder: LazyLock<Finder<'static>>,
}

/// Marks a value in plain text.
pub(crate) static PERSONAL: Marker = Marker {
    #[cfg(feature = "runtime")]
    key: "$personal",
    finder: LazyLock::new(|| Finder::new("\"$personal\"")),
};
/// Marks a sealed value.
#[cfg(feature = "runtime")]
pub(crate) static SEALED: Marker =
    Marker { key: "$sealed", finder: LazyLock::new(|| Finder::new("\"$sealed\"")) };

impl Marker {
    /// True if the key stands anywhere in `json`, which must be valid JSON.
    pub(crate) fn is_in(&self, json: &str) -> bool {
        self.find(json, 0).is_some()
    }

    /// Where the next such key begins, with its quote, and where the value behind it does.
    pub(crate) fn find(&self, json: &str, from: usize) -> Option<(usize, usize)> {
        let bytes = json.as_bytes();
        let mut from = from;
        while let Some(hit) = self.finder.find(bytes.get(from..)?) {
            let start = from + hit;
            let behind = start + self.finder.needle().len();
            let next = behind + blank(&bytes[behind..]);
            let is_escaped = start > 0 && bytes[start - 1] == b'\\';
            if !is_escaped && bytes.get(next) == Some(&b':') {
                return Some((start, next + 1));
            }
            from = behind;
        }
        None
    }
}

/// How many bytes at the beginning mean nothing in JSON.
pub(super) fn blank(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_key_is_found_wherever_it_stands() {
        for json in [
            json!({ "$personal": 1 }).to_string(),
            json!([{ "a": { "b": [{ "$personal": {} }] } }]).to_string(),
            "{ \"$personal\" \n\t : 1 }".to_owned(),
            "{\"a\":\"\\\\\",\"$personal\":1}".to_owned(),
        ] {
            assert!(PERSONAL.is_in(&json), "{json}");
        }
    }

    #[test]
    fn no_string_is_taken_for_a_key_however_hostile() {
        for hostile in [
            "$personal",
            "\"$personal\"",
            "\"$personal\":",
            "{\"$personal\":{\"subject\":1}}",
            "\\\"$personal\":",
            "\\\\\"$personal\" :",
            "x\\",
            "\u{0}\"$personal\":",
        ] {
            for json in [json!(hostile), json!({ "a": hostile, "b": [hostile] })] {
                assert!(!PERSONAL.is_in(&json.to_string()), "{json}");
            }
            // As a key it is another key than ours, unless it is ours to the letter.
            let json = json!({ hostile: 1 }).to_string();
            assert_eq!(PERSONAL.is_in(&json), hostile == "$personal", "{json}");
        }
    }

    fn has_key(value: &Value) -> bool {
        match value {
            Value::Object(map) => map.iter().any(|(key, it)| key == "$personal" || has_key(it)),
            Value::Array(list) => list.iter().any(has_key),
            _ => false,
        }
    }

    /// Text made of the pieces that could fool the search.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("$personal".to_owned()),
            Just("\"".to_owned()),
            Just("\\".to_owned()),
            Just(":".to_owned()),
            Just("{\"$personal\":".to_owned()),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            text().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(text(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_the_parser(value in value()) {
            prop_assert_eq!(PERSONAL.is_in(&value.to_string()), has_key(&value));
            let spaced = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(PERSONAL.is_in(&spaced), has_key(&value));
        }
    }
}
