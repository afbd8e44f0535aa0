//! Whether everything that one shape writes can be read as another: the table of rules.
//!
//! One direction only. [`compare`](super::lock) asks it once with the old shape as the writer and
//! the new one as the reader (BACKWARD), and once the other way round (FORWARD). What it has no rule
//! for it reports as uncertain; it never takes the unknown for compatible.
//!
//! A struct writes the properties that it lists and no others, as serde does; so a property that the
//! writer doesn't list is absent.

mod construct;
mod number;
mod object;
mod union;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

/// Where and why a reader can't take what is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Where in the data, such as `/lines/*/product`; empty for the whole.
    pub(super) path: String,
    /// What is wrong.
    pub(super) reason: String,
    /// False if there is no rule that could say.
    pub(super) is_certain: bool,
}

/// Why not everything that `writer` describes can be read as `reader`; nothing if it can.
pub(super) fn misfits(writer: &Value, reader: &Value) -> Vec<Misfit> {
    let has_same_definitions = writer.get("$defs") == reader.get("$defs");
    compare(
        writer,
        reader,
        Comparison { has_same_definitions, is_of_value: false, misfits: vec![] },
    )
}

/// Why a value, as the schema of that value alone, can't be read as `reader`. Personal data passes: it
/// may be sealed, and whoever seals it checks its form.
pub(super) fn misfits_of_value(value: &Value, reader: &Value) -> Vec<Misfit> {
    compare(
        value,
        reader,
        Comparison { has_same_definitions: false, is_of_value: true, misfits: vec![] },
    )
}

fn compare(writer: &Value, reader: &Value, mut comparison: Comparison) -> Vec<Misfit> {
    comparison.fit(&mut String::new(), writer, reader);
    comparison.misfits
}

struct Comparison {
    has_same_definitions: bool,
    /// What is written is one value only.
    is_of_value: bool,
    misfits: Vec<Misfit>,
}

/// Says nothing about which values are taken.
const ANNOTATIONS: [&str; 3] = ["$defs", "default", "x-personal"];

impl Comparison {
    fn fit(&mut self, path: &mut String, writer: &Value, reader: &Value) {
        if writer == reader && (self.has_same_definitions || !construct::refers(writer)) {
            return;
        }
        if self.is_of_value && is_personal(reader) {
            return;
        }
        self.fit_marks(path, writer, reader);
        let (writer, reader) = (construct::unwrapped(writer), construct::unwrapped(reader));
        if takes_anything(reader) || *writer == Value::Bool(false) {
            return;
        }
        let (Value::Object(written), Value::Object(read)) = (writer, reader) else {
            let reason = match writer {
                Value::Bool(true) => "anything may be written, the reader takes less",
                _ => "the reader takes nothing",
            };
            return self.wrong(path, reason);
        };
        if takes_anything(writer) {
            return self.wrong(path, "anything may be written, the reader takes less");
        }
        if let Some(unknown) =
            construct::unknown_keyword(written).or(construct::unknown_keyword(read))
        {
            return self.unclear(path, format!("there is no rule about `{unknown}`"));
        }
        if union::is_union(written) || union::is_union(read) {
            return self.fit_union(path, writer, reader);
        }
        if union::has_values(written) || union::has_values(read) {
            return self.fit_values(path, written, read);
        }
        self.fit_type(path, written, read);
    }

    /// Both have one type and no fixed values.
    fn fit_type(
        &mut self,
        path: &mut String,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        let (Some(of_writer), Some(of_reader)) = (type_of(written), type_of(read)) else {
            return self.unclear(path, "a schema without a type");
        };
        match (of_writer, of_reader) {
            ("integer" | "number", "number") | ("integer", "integer") => {
                self.fit_number(path, written, read);
            }
            (one, other) if one != other => {
                self.wrong(path, format!("a {of_writer} is written, a {of_reader} is read"));
            }
            ("object", _) => self.fit_object(path, written, read),
            ("array", _) => self.fit_array(path, written, read),
            ("string", _) => self.fit_string(path, written, read),
            _ => {}
        }
    }

    fn fit_string(&mut self, path: &str, written: &Map<String, Value>, read: &Map<String, Value>) {
        let format = |schema: &Map<String, Value>| schema.get("format").cloned();
        match (format(written), format(read)) {
            (_, None) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => {
                self.wrong(path, format!("text of format {one} is written, {other} is read"));
            }
            (None, Some(other)) => {
                self.wrong(path, format!("any text is written, only format {other} is read"));
            }
        }
        if read.get("pattern").is_some_and(|pattern| written.get("pattern") != Some(pattern)) {
            self.unclear(path, "whether all text that is written matches the reader's `pattern`");
        }
        self.fit_lengths(path, written, read, ("minLength", "maxLength"));
    }

    fn fit_array(
        &mut self,
        path: &mut String,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        self.fit_lengths(path, written, read, ("minItems", "maxItems"));
        if read.get("uniqueItems") == Some(&Value::Bool(true))
            && written.get("uniqueItems") != read.get("uniqueItems")
        {
            self.wrong(path, "the same item may be written twice, the reader takes each once");
        }
        let fixed = |schema: &Map<String, Value>| {
            schema.get("prefixItems").and_then(Value::as_array).cloned()
        };
        let anything = Value::Bool(true);
        let rest =
            |schema: &Map<String, Value>| schema.get("items").cloned().unwrap_or(anything.clone());
        let (of_writer, of_reader) =
            (fixed(written).unwrap_or_default(), fixed(read).unwrap_or_default());
        let (rest_of_writer, rest_of_reader) = (rest(written), rest(read));
        for index in 0..of_writer.len().max(of_reader.len()) {
            let written = of_writer.get(index).unwrap_or(&rest_of_writer);
            let read = of_reader.get(index).unwrap_or(&rest_of_reader);
            self.at(path, &index.to_string(), |this, path| this.fit(path, written, read));
        }
        let most = written.get("maxItems").and_then(Value::as_u64);
        if most.is_none_or(|most| most > of_writer.len() as u64) {
            self.at(path, "*", |this, path| this.fit(path, &rest_of_writer, &rest_of_reader));
        }
    }

    pub(super) fn fit_lengths(
        &mut self,
        path: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
        (least, most): (&str, &str),
    ) {
        let bound =
            |schema: &Map<String, Value>, key: &str| schema.get(key).and_then(Value::as_u64);
        if bound(written, least).unwrap_or(0) < bound(read, least).unwrap_or(0) {
            self.wrong(path, format!("shorter is written than the reader's `{least}`"));
        }
        if let Some(limit) = bound(read, most)
            && bound(written, most).is_none_or(|written| written > limit)
        {
            self.wrong(path, format!("longer is written than the reader's `{most}`"));
        }
    }

    /// A value that is sealed is another value; a program that doesn't know so takes it for plain.
    fn fit_marks(&mut self, path: &str, writer: &Value, reader: &Value) {
        match (is_personal(writer), is_personal(reader)) {
            (true, false) => self.wrong(path, "it is written as personal data, and read as plain"),
            (false, true) => {
                self.unclear(path, "whether what was written plain is read as personal data");
            }
            _ => {}
        }
    }

    fn at(&mut self, path: &mut String, step: &str, fit: impl FnOnce(&mut Self, &mut String)) {
        let length = path.len();
        path.push('/');
        path.push_str(step);
        fit(self, path);
        path.truncate(length);
    }

    fn wrong(&mut self, path: &str, reason: impl Into<String>) {
        let (path, reason) = (path.to_owned(), reason.into());
        self.misfits.push(Misfit { path, reason, is_certain: true });
    }

    fn unclear(&mut self, path: &str, reason: impl Into<String>) {
        let (path, reason) = (path.to_owned(), reason.into());
        self.misfits.push(Misfit { path, reason, is_certain: false });
    }

    /// What would be wrong, without taking note of it.
    fn tried(&self, path: &str, writer: &Value, reader: &Value) -> Vec<Misfit> {
        let mut trial = Self { misfits: Vec::new(), ..*self };
        trial.fit(&mut path.to_owned(), writer, reader);
        trial.misfits
    }
}

fn type_of(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("type").and_then(Value::as_str)
}

fn is_personal(schema: &Value) -> bool {
    let is_marked = |schema: &Value| schema.get("x-personal") == Some(&Value::Bool(true));
    is_marked(schema) || is_marked(construct::unwrapped(schema))
}

fn takes_anything(schema: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(keywords) => keywords.keys().all(|key| ANNOTATIONS.contains(&key.as_str())),
        _ => false,
    }
}
