//! One of several: fixed values, nullable types, the ways in which serde writes an enum.

use serde_json::{Map, Value, json};

use super::number::is_rounded;
use super::{Comparison, Misfit, type_of};

/// True if a schema says "one of these": `anyOf`, `oneOf`, or several types.
pub(super) fn is_union(schema: &Map<String, Value>) -> bool {
    schema.contains_key("anyOf")
        || schema.contains_key("oneOf")
        || schema.get("type").is_some_and(Value::is_array)
}

/// True if a schema lists the values themselves.
pub(super) fn has_values(schema: &Map<String, Value>) -> bool {
    schema.contains_key("enum") || schema.contains_key("const")
}

fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
        (Some(only), _) => Some(vec![only]),
        (None, Some(all)) => Some(all.iter().collect()),
        (None, None) => None,
    }
}

/// The alternatives of a union; a schema that is none is its own only one.
fn alternatives(schema: &Value) -> Option<Vec<Value>> {
    let Value::Object(keywords) = schema else { return Some(vec![schema.clone()]) };
    let mut rest = keywords.clone();
    let listed = match (rest.remove("anyOf"), rest.remove("oneOf"), keywords.get("type")) {
        (Some(Value::Array(all)), None, None) | (None, Some(Value::Array(all)), None) => all,
        (Some(_), ..) | (_, Some(_), _) => return joined(keywords),
        (None, None, Some(Value::Array(types))) => {
            let of_type = |name: &Value| {
                let mut alternative = rest.clone();
                alternative.insert("type".to_owned(), name.clone());
                Value::Object(alternative)
            };
            types.iter().map(of_type).collect()
        }
        _ => return Some(vec![schema.clone()]),
    };
    let flat: Option<Vec<_>> = listed.iter().map(alternatives).collect();
    flat.map(|nested| nested.into_iter().flatten().collect())
}

/// The alternatives of a union that says something about all of them, such as the tag beside a
/// flattened enum: each with that.
fn joined(keywords: &Map<String, Value>) -> Option<Vec<Value>> {
    let mut common = keywords.clone();
    let listed = common.remove("oneOf").or_else(|| common.remove("anyOf"))?;
    let is_plain = |schema: &Map<String, Value>| {
        schema.keys().all(|key| matches!(key.as_str(), "type" | "properties" | "required"))
    };
    let is_object = type_of(&common) == Some("object") && is_plain(&common);
    let Value::Array(listed) = listed else { return None };
    let join = |alternative: &Value| {
        let alternative = alternative.as_object().filter(|it| is_plain(it))?;
        let mut both = common.clone();
        for key in ["properties", "required"] {
            match (both.get_mut(key), alternative.get(key)) {
                (Some(Value::Object(all)), Some(Value::Object(more))) => {
                    all.extend(more.clone());
                }
                (Some(Value::Array(all)), Some(Value::Array(more))) => {
                    all.extend(more.clone());
                }
                (None, Some(more)) => {
                    both.insert(key.to_owned(), more.clone());
                }
                _ => {}
            }
        }
        Some(Value::Object(both))
    };
    if is_object { listed.iter().map(join).collect() } else { None }
}

impl Comparison {
    pub(super) fn fit_union(&mut self, path: &str, writer: &Value, reader: &Value) {
        let (Some(written), Some(read)) = (alternatives(writer), alternatives(reader)) else {
            return self.unclear(path, "alternatives and something about all of them at once");
        };
        for alternative in written {
            let found = self.best_of(path, &alternative, &read);
            self.misfits.extend(found);
        }
    }

    /// What is wrong with the alternative of the reader that is the nearest: nothing, the one of the
    /// same tag, or that there is none.
    fn best_of(&self, path: &str, written: &Value, read: &[Value]) -> Vec<Misfit> {
        // Fixed values may be spread over several alternatives of the reader.
        if let Some(all) = written.as_object().and_then(values)
            && all.len() > 1
        {
            let each = all.into_iter().map(|value| json!({ "const": value }));
            return each.flat_map(|value| self.best_of(path, &value, read)).collect();
        }
        let tag = tag_of(written);
        let mut nearest = None;
        for alternative in read {
            let misfits = self.tried(path, written, alternative);
            if misfits.is_empty() {
                return misfits;
            }
            let is_same = tag.is_some() && tag == tag_of(alternative);
            let is_only = read.len() == 1 || type_only(written, read, alternative);
            if is_same || (is_only && tag.is_none()) {
                nearest = Some(misfits);
            }
        }
        nearest.unwrap_or_else(|| {
            let what = tag.map_or_else(|| described(written), |(_, value)| value);
            let is_certain = read.iter().all(|alternative| {
                self.tried(path, written, alternative).iter().any(|misfit| misfit.is_certain)
            });
            let reason = format!("{what} is written, and the reader has no such alternative");
            vec![Misfit { path: path.to_owned(), reason, is_certain }]
        })
    }

    /// At least one side lists values, and none is a union.
    pub(super) fn fit_values(
        &mut self,
        path: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        let Some(all) = values(written) else {
            return self.wrong(path, "any value is written, the reader takes a few");
        };
        let taken = values(read);
        let of_reader = type_of(read);
        for value in all {
            match (&taken, of_reader) {
                (Some(taken), _) if taken.contains(&value) => {}
                (Some(_), _) => {
                    self.wrong(path, format!("{value} is written, and the reader doesn't know it"));
                }
                (None, Some("integer")) if is_rounded(value, read) => {
                    self.unclear(path, "whether the reader takes an integer of more than 64 bits");
                }
                (None, Some(of_reader)) if !has_type(value, of_reader) => {
                    self.wrong(path, format!("{value} is written, a {of_reader} is read"));
                }
                (None, Some(of_reader)) => self.fit_value(path, value, of_reader, read),
                (None, None) => self.unclear(path, format!("whether the reader takes {value}")),
            }
        }
    }
}

impl Comparison {
    /// One value of the reader's type.
    fn fit_value(&mut self, path: &str, value: &Value, name: &str, read: &Map<String, Value>) {
        let mut exact = Map::from_iter([("type".to_owned(), Value::from(name))]);
        match value {
            Value::Number(number) => {
                exact.insert("minimum".to_owned(), number.clone().into());
                exact.insert("maximum".to_owned(), number.clone().into());
                self.fit_number(path, &exact, read);
            }
            Value::String(text) => {
                let length = text.chars().count();
                exact.insert("minLength".to_owned(), length.into());
                exact.insert("maxLength".to_owned(), length.into());
                self.fit_lengths(path, &exact, read, ("minLength", "maxLength"));
                if read.contains_key("pattern") || read.contains_key("format") {
                    self.unclear(path, "whether a fixed text has the form that the reader takes");
                }
            }
            _ => {}
        }
    }
}

/// True if `alternative` is the only one of `read` with the type of `written`.
fn type_only(written: &Value, read: &[Value], alternative: &Value) -> bool {
    let of = |schema: &Value| schema.get("type").cloned();
    let of_written = of(written);
    of_written == of(alternative)
        && read.iter().filter(|other| of(other) == of_written).count() == 1
}

/// The tag by which serde tells the variants of an enum apart, and its value: a property with a
/// fixed value, the only property (externally tagged), or the value itself.
fn tag_of(schema: &Value) -> Option<(String, String)> {
    let schema = schema.as_object()?;
    if let Some(only) = schema.get("const") {
        return Some((String::new(), only.to_string()));
    }
    let properties = schema.get("properties")?.as_object()?;
    let fixed = properties.iter().find_map(|(name, property)| {
        let value = property.get("const")?;
        Some((name.clone(), format!("`{name}`: {value}")))
    });
    fixed.or_else(|| {
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let (name, _) = properties.iter().next().filter(|_| properties.len() == 1 && is_closed)?;
        Some((name.clone(), format!("`{name}`")))
    })
}

fn described(schema: &Value) -> String {
    match schema.get("type").and_then(Value::as_str) {
        Some("array") => "an array".to_owned(),
        Some("object") => "an object".to_owned(),
        Some("integer") => "an integer".to_owned(),
        Some(other) => format!("a {other}"),
        None => "something".to_owned(),
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
