//! The reserved nodes of JSON text: reading one, and replacing them all where they stand.
//!
//! In plain text, as [`Personal`](super::Personal) writes it:
//! `{"$personal":{"subject":"…","value":…}}`, with `"opened":true` if it came out of the log, and
//! without a value if its subject was forgotten.
//! Sealed: `{"$sealed":{"subject":"…","key":1,"data":"…"}}`, or, written after its subject was
//! forgotten, `{"$sealed":{"subject":"…","forgotten":true}}`.
//!
//! What lies around a node is copied byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::marker::{Marker, blank};

/// How deep personal values may lie in each other.
pub(super) const MAX_DEPTH: usize = 16;

/// A reserved key stands where or how nobody of ours writes it. What stands there isn't repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it uses a reserved key in another way than it is meant for")]
pub(super) struct NotANode;

/// What stands in a plain node.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain<'a> {
    #[serde(borrow)]
    pub(super) subject: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) opened: bool,
    #[serde(borrow, default, deserialize_with = "raw", skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a RawValue>,
}

/// What stands in a sealed node.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed<'a> {
    #[serde(borrow)]
    pub(super) subject: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<u32>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) forgotten: bool,
}

/// `null` is a value too.
fn raw<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&'a RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a node's inside.
pub(super) fn read<'a, B: Deserialize<'a>>(body: &'a str) -> Result<B, NotANode> {
    serde_json::from_str(body).map_err(|_| NotANode)
}

/// Reads a sealed node's inside: a key and what it sealed, or that its subject was forgotten.
pub(super) fn read_sealed(body: &str) -> Result<Sealed<'_>, NotANode> {
    let sealed: Sealed<'_> = read(body)?;
    match (sealed.key, &sealed.data, sealed.forgotten) {
        (Some(_), Some(_), false) | (None, None, true) => Ok(sealed),
        _ => Err(NotANode),
    }
}

/// Writes a node.
pub(super) fn write(out: &mut String, marker: &Marker, body: &impl Serialize) {
    // Text and numbers: nothing that JSON could refuse.
    let body = serde_json::to_string(body).unwrap_or_default();
    out.extend(["{\"", marker.key, "\":", &body, "}"]);
}

/// Replaces every outermost node: `replace` gets its inside and writes what stands there instead.
/// `None` if there is no node.
pub(super) fn rewrite<E: From<NotANode>>(
    json: &str,
    marker: &Marker,
    mut replace: impl FnMut(&str, &mut String) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let mut out = String::new();
    let mut copied = 0;
    while let Some((key, value)) = marker.find(json, copied) {
        let (node, body) = around(json, key, value)?;
        out.push_str(&json[copied..node.start]);
        replace(&json[body], &mut out)?;
        copied = node.end;
    }
    if copied == 0 {
        return Ok(None);
    }
    out.push_str(&json[copied..]);
    Ok(Some(out))
}

/// The node, and its inside, around a key: an object that holds nothing else.
fn around(json: &str, key: usize, value: usize) -> Result<(Range<usize>, Range<usize>), NotANode> {
    let before = json[..key].trim_end_matches([' ', '\t', '\n', '\r']);
    let start = before.strip_suffix('{').ok_or(NotANode)?.len();
    let mut values = serde_json::Deserializer::from_str(&json[value..]).into_iter::<&RawValue>();
    let body = values.next().and_then(Result::ok).ok_or(NotANode)?;
    let behind = value + values.byte_offset();
    let end = behind + blank(&json.as_bytes()[behind..]);
    if json.as_bytes().get(end) != Some(&b'}') {
        return Err(NotANode);
    }
    let body_start = behind - body.get().len();
    Ok((start..end + 1, body_start..behind))
}

#[cfg(test)]
mod tests {
    use super::super::marker::PERSONAL;
    use super::*;

    fn masked(json: &str) -> Result<Option<String>, NotANode> {
        rewrite(json, &PERSONAL, |body, out| {
            out.push_str(&format!("<{body}>"));
            Ok(())
        })
    }

    #[test]
    fn a_node_is_replaced_and_what_lies_around_it_is_not_touched() {
        let json = "[ 1.00, {\"$personal\":{\"a\": 1}} ,{ \"b\" : { \"$personal\" : [2] } }]";
        let expected = "[ 1.00, <{\"a\": 1}> ,{ \"b\" : <[2]> }]";
        assert_eq!(masked(json).unwrap().as_deref(), Some(expected));
        assert_eq!(masked("{\"a\":\"$personal\"}").unwrap(), None);
    }

    #[test]
    fn only_the_outermost_of_nested_nodes_is_replaced() {
        let json = "{\"$personal\":{\"x\":{\"$personal\":1}}}";
        assert_eq!(masked(json).unwrap().as_deref(), Some("<{\"x\":{\"$personal\":1}}>"));
    }

    #[test]
    fn a_reserved_key_beside_others_is_no_node() {
        for json in [
            "{\"$personal\":1,\"a\":2}",
            "{\"a\":2,\"$personal\":1}",
            "{\"$personal\":1,\"$personal\":2}",
        ] {
            assert_eq!(masked(json), Err(NotANode), "{json}");
        }
    }
}
