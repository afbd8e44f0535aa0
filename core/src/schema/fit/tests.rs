//! The table of rules: what an old shape and a new one mean for each direction.
//!
//! Every row is a pair of shapes, as schemars describes them, and whether what the first one writes
//! can be read as the second (and the other way round).

use serde_json::{Value, json};

use super::misfits;

/// What comes of reading one shape as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Fits,
    Breaks,
    /// No rule can say.
    Unclear,
}

use Outcome::{Breaks, Fits, Unclear};

fn outcome(writer: &Value, reader: &Value) -> Outcome {
    let found = misfits(writer, reader);
    match (found.is_empty(), found.iter().any(|misfit| misfit.is_certain)) {
        (true, _) => Fits,
        (false, true) => Breaks,
        (false, false) => Unclear,
    }
}

/// One row: the shape before, the shape after, BACKWARD (before is written, after is read) and
/// FORWARD.
#[track_caller]
fn row(what: &str, before: Value, after: Value, backward: Outcome, forward: Outcome) {
    assert_eq!(outcome(&before, &before), Fits, "{what}: the same");
    assert_eq!(outcome(&after, &after), Fits, "{what}: the same");
    let found = (misfits(&before, &after), misfits(&after, &before));
    assert_eq!(outcome(&before, &after), backward, "{what}, BACKWARD: {:?}", found.0);
    assert_eq!(outcome(&after, &before), forward, "{what}, FORWARD: {:?}", found.1);
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn integer(format: &str) -> Value {
    json!({ "type": "integer", "format": format })
}

#[test]
fn of_properties() {
    let a = || object(json!({ "a": text() }), &["a"]);
    let a_b = |required: &[&str]| object(json!({ "a": text(), "b": text() }), required);
    row("required property added", a(), a_b(&["a", "b"]), Breaks, Fits);
    row("optional property added", a(), a_b(&["a"]), Fits, Fits);
    row("required property removed", a_b(&["a", "b"]), a(), Fits, Breaks);
    row("optional property removed", a_b(&["a"]), a(), Fits, Fits);
    row("property becomes required", a_b(&["a"]), a_b(&["a", "b"]), Breaks, Fits);
    let renamed = object(json!({ "z": text() }), &["z"]);
    row("property renamed", a(), renamed, Breaks, Breaks);
    let with_default =
        object(json!({ "a": text(), "b": { "type": "string", "default": "" } }), &["a"]);
    row("property with a default added", a(), with_default, Fits, Fits);
    row("every property is optional", object(json!({}), &[]), a_b(&[]), Fits, Fits);
}

#[test]
fn of_unknown_properties() {
    let strict = |properties: Value| {
        let mut schema = object(properties, &["a"]);
        schema["additionalProperties"] = json!(false);
        schema
    };
    let (one, two) = (json!({ "a": text() }), json!({ "a": text(), "b": text() }));
    row(
        "optional property added under deny_unknown_fields",
        strict(one.clone()),
        strict(two),
        Fits,
        Breaks,
    );
    row("unknown properties get refused", object(one.clone(), &["a"]), strict(one), Fits, Fits);
    let map = |of: Value| json!({ "type": "object", "additionalProperties": of });
    row("values of a map narrowed", map(integer("int64")), map(integer("int32")), Breaks, Fits);
    row("a map for a struct", map(text()), object(json!({ "a": text() }), &["a"]), Breaks, Fits);
    row(
        "a map for optional properties",
        map(text()),
        object(json!({ "a": integer("int8") }), &[]),
        Unclear,
        Breaks,
    );
}

#[test]
fn of_types() {
    row("another type", text(), integer("int32"), Breaks, Breaks);
    row("integer to number", integer("int64"), json!({ "type": "number" }), Fits, Breaks);
    row("integer widened", integer("int32"), integer("int64"), Fits, Breaks);
    row("a sign added", integer("uint32"), integer("int64"), Fits, Breaks);
    row("a sign taken", integer("int32"), integer("uint64"), Breaks, Breaks);
    row("unsigned to signed of one size", integer("uint64"), integer("int64"), Breaks, Breaks);
    let bounded = |most: u64| json!({ "type": "integer", "minimum": 0, "maximum": most });
    row("a bound raised", bounded(9), bounded(10), Fits, Breaks);
    let too_large = bounded(1 << 63);
    row("one more than there are", bounded((1 << 63) - 1), too_large.clone(), Fits, Breaks);
    row("one more than is read", too_large, integer("int64"), Breaks, Breaks);
    row("of 128 bits", integer("uint64"), integer("int128"), Fits, Breaks);
    row("of 128 bits, a sign taken", integer("int128"), integer("uint128"), Breaks, Breaks);
    let nullable = json!({ "type": ["string", "null"] });
    row("made nullable", text(), nullable.clone(), Fits, Breaks);
    let as_union = json!({ "anyOf": [{ "type": "null" }, { "type": "string" }] });
    row("nullable in other words", nullable, as_union, Fits, Fits);
    row("anything", text(), json!(true), Fits, Breaks);
    row("anything, in other words", json!({}), json!(true), Fits, Fits);
    let exclusive = json!({ "type": "number", "exclusiveMinimum": 0 });
    row("an exclusive bound", json!({ "type": "number" }), exclusive, Unclear, Fits);
}

#[test]
fn of_texts() {
    let uuid = json!({ "type": "string", "format": "uuid" });
    let moment = json!({ "type": "string", "format": "date-time" });
    row("a format demanded", text(), uuid.clone(), Breaks, Fits);
    row("another format", uuid, moment, Breaks, Breaks);
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    row("a pattern demanded", text(), pattern("^a"), Unclear, Fits);
    row("another pattern", pattern("^a"), pattern("^b"), Unclear, Unclear);
    let short = |most: u64| json!({ "type": "string", "maxLength": most });
    row("longer texts", short(5), short(6), Fits, Breaks);
    row("a least length", text(), json!({ "type": "string", "minLength": 1 }), Breaks, Fits);
}

#[test]
fn of_arrays() {
    let list = |of: Value| json!({ "type": "array", "items": of });
    row("items widened", list(integer("int8")), list(integer("int16")), Fits, Breaks);
    let line = |required: &[&str]| list(object(json!({ "sku": text(), "note": text() }), required));
    row("required property of an item added", line(&["sku"]), line(&["sku", "note"]), Breaks, Fits);
    let set = json!({ "type": "array", "items": text(), "uniqueItems": true });
    row("a set of a list", list(text()), set, Breaks, Fits);
    let pair = |second: Value| {
        json!({
            "type": "array", "prefixItems": [text(), second], "minItems": 2, "maxItems": 2,
        })
    };
    row("part of a pair widened", pair(integer("int8")), pair(integer("int16")), Fits, Breaks);
    let triple = json!({
        "type": "array", "prefixItems": [text(), text(), text()], "minItems": 3, "maxItems": 3,
    });
    row("a longer tuple", pair(text()), triple, Breaks, Breaks);
}

#[test]
fn of_fixed_values() {
    let values = |values: &[&str]| json!({ "type": "string", "enum": values });
    row("value added", values(&["a"]), values(&["a", "b"]), Fits, Breaks);
    row("value removed", values(&["a", "b"]), values(&["b"]), Breaks, Fits);
    row("any text", values(&["a"]), text(), Fits, Breaks);
    let only = |value: &str| json!({ "type": "string", "const": value });
    row("one value in other words", only("a"), values(&["a"]), Fits, Fits);
    let described = json!({ "oneOf": [only("a"), only("b")] });
    row("values in other words", values(&["a", "b"]), described, Fits, Fits);
    row("a number for a text", json!({ "const": 1 }), text(), Breaks, Breaks);
    row("a short text", only("a"), json!({ "type": "string", "maxLength": 3 }), Fits, Breaks);
    row("a long text", only("abcd"), json!({ "type": "string", "maxLength": 3 }), Breaks, Breaks);
    row(
        "a text of a form",
        only("a"),
        json!({ "type": "string", "pattern": "a" }),
        Unclear,
        Breaks,
    );
}

/// A variant as serde writes it with `tag = "kind"`.
fn tagged(kind: &str, properties: Value, required: &[&str]) -> Value {
    let mut schema = object(properties, required);
    schema["properties"]["kind"] = json!({ "type": "string", "const": kind });
    schema["required"].as_array_mut().unwrap().push("kind".into());
    schema
}

#[test]
fn of_enums_with_an_internal_tag() {
    let one_of = |variants: &[Value]| json!({ "oneOf": variants });
    let plain = || tagged("by_customer", json!({}), &[]);
    let with = |required: &[&str]| tagged("other", json!({ "detail": text() }), required);
    row("variant added", one_of(&[plain()]), one_of(&[plain(), with(&["detail"])]), Fits, Breaks);
    row(
        "field of a variant becomes required",
        one_of(&[plain(), with(&[])]),
        one_of(&[plain(), with(&["detail"])]),
        Breaks,
        Fits,
    );
    let found = misfits(&one_of(&[plain(), with(&[])]), &one_of(&[plain(), with(&["detail"])]));
    assert_eq!(found.len(), 1, "only the variant in question: {found:?}");
    assert_eq!(found[0].path, "/detail");
    let found = misfits(&one_of(&[plain(), with(&[])]), &one_of(&[plain()]));
    assert!(found[0].reason.contains("`kind`: \"other\""), "{found:?}");
}

#[test]
fn of_enums_as_serde_writes_them_otherwise() {
    let external = |name: &str, of: Value| {
        json!({
            "type": "object", "properties": { name: of }, "required": [name],
            "additionalProperties": false,
        })
    };
    let unit = json!({ "type": "string", "const": "Retail" });
    let before = json!({ "oneOf": [unit, external("Corporate", integer("int8"))] });
    let after = json!({ "oneOf": [unit, external("Corporate", integer("int16"))] });
    row("externally tagged, content widened", before.clone(), after, Fits, Breaks);
    let fewer = json!({ "oneOf": [unit] });
    row("externally tagged, variant removed", before, fewer, Breaks, Fits);
    let untagged = |of: &[Value]| json!({ "anyOf": of });
    row(
        "untagged, variant added",
        untagged(&[text(), integer("int8")]),
        untagged(&[text(), integer("int8"), json!({ "type": "boolean" })]),
        Fits,
        Breaks,
    );
    let flat = |of: &[Value]| {
        let mut schema = object(json!({ "order": text() }), &["order"]);
        schema["oneOf"] = json!(of);
        schema
    };
    let (a, b) = (tagged("a", json!({}), &[]), tagged("b", json!({}), &[]));
    row("flattened, variant added", flat(std::slice::from_ref(&a)), flat(&[a, b]), Fits, Breaks);
}

#[test]
fn of_personal_data() {
    let personal = json!({ "type": "string", "x-personal": true });
    row("the marker taken away", personal, text(), Breaks, Unclear);
}

#[test]
fn of_what_is_nested() {
    let order =
        |city: Value| object(json!({ "to": object(json!({ "city": city }), &["city"]) }), &["to"]);
    row(
        "a nested type widened",
        order(text()),
        order(json!({ "type": ["string", "null"] })),
        Fits,
        Breaks,
    );
    let found = misfits(&order(json!(true)), &order(text()));
    assert_eq!(found[0].path, "/to/city");
}

#[test]
fn of_constructs_without_a_rule() {
    let odd = |then: Value| json!({ "type": "string", "if": true, "then": then });
    row("unknown keywords", odd(json!(true)), odd(json!({})), Unclear, Unclear);
    row(
        "an unknown keyword added",
        text(),
        json!({ "type": "string", "contentEncoding": "base64" }),
        Unclear,
        Unclear,
    );
    let node = |of: Value| {
        json!({
            "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" } },
            "$defs": { "Node": of },
        })
    };
    row("a recursive type that changed", node(text()), node(integer("int8")), Unclear, Unclear);
    let all = json!({ "allOf": [text(), { "minLength": 1 }] });
    row("several at once", text(), all, Unclear, Unclear);
    row("an `allOf` of one", text(), json!({ "allOf": [text()] }), Fits, Fits);
}
