//! Numbers: which range is written and which is read.

use serde_json::{Map, Value};

use super::{Comparison, type_of};

impl Comparison {
    pub(super) fn fit_number(
        &mut self,
        path: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        let (writer, reader) = (Range::of(written), Range::of(read));
        if writer.least < reader.least || writer.most > reader.most {
            self.wrong(path, format!("numbers {writer} are written, numbers {reader} are read"));
        }
        for key in ["exclusiveMinimum", "exclusiveMaximum"] {
            if read.get(key).is_some_and(|bound| written.get(key) != Some(bound)) {
                self.unclear(path, format!("whether every number respects the reader's `{key}`"));
            }
        }
    }
}

/// The numbers that a schema describes, both ends included.
struct Range {
    least: f64,
    most: f64,
}

impl Range {
    fn of(schema: &Map<String, Value>) -> Self {
        let named = match (type_of(schema), schema.get("format").and_then(Value::as_str)) {
            (Some("integer"), Some(format)) => of_format(format),
            _ => None,
        };
        let (least, most) = named.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        Self {
            least: bound("minimum").map_or(least, |bound| bound.max(least)),
            most: bound("maximum").map_or(most, |bound| bound.min(most)),
        }
    }
}

/// The range that the format of an integer stands for. What it rounds in the largest ones it rounds
/// alike on both sides.
fn of_format(format: &str) -> Option<(f64, f64)> {
    let (bits, is_signed) = match format {
        "int" => (64, true),
        "uint" => (64, false),
        _ => match format.strip_prefix("uint") {
            Some(bits) => (bits.parse::<i32>().ok()?, false),
            None => (format.strip_prefix("int")?.parse::<i32>().ok()?, true),
        },
    };
    Some(match is_signed {
        true => (-(2f64.powi(bits - 1)), 2f64.powi(bits - 1) - 1.0),
        false => (0.0, 2f64.powi(bits) - 1.0),
    })
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least.is_finite(), self.most.is_finite()) {
            (true, true) => write!(f, "from {} to {}", self.least, self.most),
            (true, false) => write!(f, "from {}", self.least),
            (false, true) => write!(f, "up to {}", self.most),
            (false, false) => f.write_str("of any size"),
        }
    }
}
