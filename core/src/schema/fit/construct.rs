//! Which constructs there are rules for.

use serde_json::{Map, Value};

use super::ANNOTATIONS;

/// Every keyword that a rule knows.
const KNOWN: [&str; 23] = [
    "type",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "uniqueItems",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "allOf",
];

/// The first keyword that there is no rule for: `$ref` to a schema that may differ, say.
pub(super) fn unknown_keyword(schema: &Map<String, Value>) -> Option<&str> {
    let is_known = |key: &&str| KNOWN.contains(key) || ANNOTATIONS.contains(key);
    let unknown = schema.keys().map(String::as_str).find(|key| !is_known(key));
    // `unwrapped` took away every `allOf` that says one thing only.
    unknown.or_else(|| schema.contains_key("allOf").then_some("allOf"))
}

/// True if anything in it refers to a definition elsewhere.
pub(super) fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(keywords) => keywords.contains_key("$ref") || keywords.values().any(refers),
        Value::Array(items) => items.iter().any(refers),
        _ => false,
    }
}

/// The schema inside of an `allOf`, `anyOf` or `oneOf` of one.
pub(super) fn unwrapped(schema: &Value) -> &Value {
    let Value::Object(keywords) = schema else { return schema };
    let mut said = keywords.iter().filter(|(key, _)| !ANNOTATIONS.contains(&key.as_str()));
    match (said.next(), said.next()) {
        (Some((key, Value::Array(all))), None)
            if matches!(key.as_str(), "allOf" | "anyOf" | "oneOf") && all.len() == 1 =>
        {
            unwrapped(&all[0])
        }
        _ => schema,
    }
}
