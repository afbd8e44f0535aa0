//! One text for one schema: sorted, without what only people read.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// What is written about a `T`.
pub(super) fn written<T: JsonSchema>() -> Value {
    of(SchemaSettings::draft2020_12().for_serialize(), |settings| {
        settings.into_generator().into_root_schema_for::<T>()
    })
}

/// What is read as a `T`.
pub(super) fn read<T: JsonSchema>() -> Value {
    of(SchemaSettings::draft2020_12().for_deserialize(), |settings| {
        settings.into_generator().into_root_schema_for::<T>()
    })
}

fn of(settings: SchemaSettings, generate: impl FnOnce(SchemaSettings) -> Schema) -> Value {
    let inline = settings.with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    canonical(generate(inline).to_value())
}

/// The same schema with its keys sorted, its sets sorted, and no words for people in it: those may
/// change without the events changing.
pub(super) fn canonical(schema: Value) -> Value {
    let Value::Object(keywords) = schema else { return schema };
    let mut sorted: Vec<_> = keywords.into_iter().filter(|(key, _)| !is_for_people(key)).collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let keywords = sorted.into_iter().map(|(key, value)| {
        let value = match key.as_str() {
            "properties" | "patternProperties" | "$defs" | "definitions" => each(value),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => all(value),
            "required" | "enum" | "type" => as_set(value),
            "const" | "default" => with_sorted_keys(value),
            _ if value.is_object() => canonical(value),
            _ => value,
        };
        (key, value)
    });
    Value::Object(keywords.collect())
}

fn is_for_people(keyword: &str) -> bool {
    matches!(keyword, "title" | "description" | "examples" | "deprecated" | "$schema" | "$comment")
}

/// Schemas by name.
fn each(value: Value) -> Value {
    let Value::Object(schemas) = value else { return value };
    let mut sorted: Vec<_> = schemas.into_iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Object(sorted.into_iter().map(|(name, schema)| (name, canonical(schema))).collect())
}

/// Schemas in a row.
fn all(value: Value) -> Value {
    let Value::Array(schemas) = value else { return value };
    Value::Array(schemas.into_iter().map(canonical).collect())
}

/// Values whose order says nothing.
fn as_set(value: Value) -> Value {
    let Value::Array(mut values) = value else { return value };
    values.sort_by_key(Value::to_string);
    Value::Array(values)
}

fn with_sorted_keys(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.into_iter().collect();
            sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
            let fields: Map<_, _> =
                sorted.into_iter().map(|(key, value)| (key, with_sorted_keys(value))).collect();
            Value::Object(fields)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(with_sorted_keys).collect()),
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_for_people_go_and_properties_of_the_same_name_stay() {
        let schema = json!({
            "title": "Book", "description": "…", "type": "object",
            "properties": { "title": { "type": "string", "title": "T" }, "a": true },
            "required": ["title", "a"],
        });
        let expected = json!({
            "type": "object",
            "properties": { "a": true, "title": { "type": "string" } },
            "required": ["a", "title"],
        });
        assert_eq!(canonical(schema).to_string(), expected.to_string());
    }
}
