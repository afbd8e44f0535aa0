//! Objects: which properties are written, which are read.

use serde_json::{Map, Value};

use super::Comparison;

impl Comparison {
    pub(super) fn fit_object(
        &mut self,
        path: &mut String,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        if written.get("patternProperties") != read.get("patternProperties") {
            self.unclear(path, "how properties by `patternProperties` differ");
        }
        let always = required(written);
        for property in required(read) {
            if !always.contains(&property) {
                let step = property.to_owned();
                let reason = match properties(written).is_some_and(|all| all.contains_key(property))
                {
                    true => "it may be missing, and the reader requires it",
                    false => "it is never written, and the reader requires it",
                };
                self.at(path, &step, |this, path| this.wrong(path, reason));
            }
        }
        let none = Map::new();
        let (of_writer, of_reader) =
            (properties(written).unwrap_or(&none), properties(read).unwrap_or(&none));
        let others = read.get("additionalProperties").unwrap_or(&Value::Bool(true));
        for (name, property) in of_writer {
            let is_listed = of_reader.contains_key(name);
            // The name of a map's entry is data, if it is a value that is compared.
            let step = if self.is_of_value && !is_listed { "*" } else { name };
            self.at(path, step, |this, path| match of_reader.get(name) {
                Some(reads) => this.fit(path, property, reads),
                None if *others == Value::Bool(false) => {
                    this.wrong(path, "the reader refuses a property that it doesn't know");
                }
                None => this.fit(path, property, others),
            });
        }
        self.fit_others(path, written.get("additionalProperties"), of_reader, others);
    }

    /// What the writer may write beyond the properties that it lists: the entries of a map.
    fn fit_others(
        &mut self,
        path: &mut String,
        written: Option<&Value>,
        of_reader: &Map<String, Value>,
        others: &Value,
    ) {
        let Some(written) = written.filter(|written| **written != Value::Bool(false)) else {
            return;
        };
        self.at(path, "*", |this, path| this.fit(path, written, others));
        for (name, property) in of_reader {
            self.at(path, name, |this, path| {
                if !this.tried(path, written, property).is_empty() {
                    this.unclear(path, "whether an entry of the writer's map has this name");
                }
            });
        }
    }
}

fn properties(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

fn required(schema: &Map<String, Value>) -> Vec<&str> {
    let listed = schema.get("required").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).collect()
}
