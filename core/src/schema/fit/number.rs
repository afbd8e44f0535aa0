//! Numbers: which range is written and which is read.

use std::fmt::{self, Display, Formatter};

use serde_json::{Map, Value};

use super::{Comparison, type_of};

impl Comparison {
    pub(super) fn fit_number(
        &mut self,
        path: &str,
        written: &Map<String, Value>,
        read: &Map<String, Value>,
    ) {
        // A float rounds the ends of 64 bits, and takes one number too many for the last one.
        let are_integers = [written, read].iter().all(|it| type_of(it) == Some("integer"));
        let outside = match are_integers {
            true => outside(Range::of_integers(written), Range::of_integers(read)),
            false => outside(Range::of_numbers(written), Range::of_numbers(read)),
        };
        if let Some(reason) = outside {
            self.wrong(path, reason);
        }
        for key in ["exclusiveMinimum", "exclusiveMaximum"] {
            if read.get(key).is_some_and(|bound| written.get(key) != Some(bound)) {
                self.unclear(path, format!("whether every number respects the reader's `{key}`"));
            }
        }
    }
}

/// True if a number may be one of more than 64 bits, which JSON values keep rounded, and the reader
/// takes such numbers.
pub(super) fn is_rounded(value: &Value, read: &Map<String, Value>) -> bool {
    let Some(number) = value.as_f64().filter(|_| value.is_f64()) else { return false };
    let beyond = 2f64.powi(63);
    match read.get("format").and_then(Value::as_str) {
        Some("int128") => (beyond..=2f64.powi(127)).contains(&number.abs()),
        Some("uint128") => (beyond..=2f64.powi(128)).contains(&number),
        _ => false,
    }
}

/// The numbers that a schema describes, both ends included; `None` is no end.
struct Range<T> {
    least: Option<T>,
    most: Option<T>,
}

impl Range<i128> {
    fn of_integers(schema: &Map<String, Value>) -> Self {
        let bound = |key, rounded: fn(f64) -> f64| {
            let bound: &Value = schema.get(key)?;
            let exact = bound.as_i64().map(i128::from).or(bound.as_u64().map(i128::from));
            exact.or_else(|| Some(rounded(bound.as_f64()?) as i128))
        };
        let (least, most) = (bound("minimum", f64::ceil), bound("maximum", f64::floor));
        Self::of_format(schema).narrowed(least, most)
    }

    /// The range that the format of an integer stands for.
    fn of_format(schema: &Map<String, Value>) -> Self {
        let format = schema.get("format").and_then(Value::as_str);
        let (bits, is_signed) = match format {
            Some("int") => (Ok(64), true),
            Some("uint") => (Ok(64), false),
            Some(format) => match format.strip_prefix("uint") {
                Some(bits) => (bits.parse::<u32>(), false),
                None => (format.strip_prefix("int").unwrap_or_default().parse(), true),
            },
            None => return Self { least: None, most: None },
        };
        match (bits, is_signed) {
            (Ok(bits @ 1..=128), true) => {
                let rest = 128 - bits;
                Self { least: Some(i128::MIN >> rest), most: Some(i128::MAX >> rest) }
            }
            (Ok(bits @ 1..=127), false) => {
                Self { least: Some(0), most: Some(i128::MAX >> (127 - bits)) }
            }
            // No type of Rust is larger.
            (Ok(128), false) => Self { least: Some(0), most: None },
            _ => Self { least: None, most: None },
        }
    }
}

impl Range<f64> {
    fn of_numbers(schema: &Map<String, Value>) -> Self {
        let Range { least, most } = match type_of(schema) {
            Some("integer") => Range::of_format(schema),
            _ => Range { least: None, most: None },
        };
        let rounded = |end: Option<i128>| end.map(|end| end as f64);
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let range = Self { least: rounded(least), most: rounded(most) };
        range.narrowed(bound("minimum"), bound("maximum"))
    }
}

impl<T: PartialOrd + Copy> Range<T> {
    fn narrowed(self, least: Option<T>, most: Option<T>) -> Self {
        let higher = self.least.is_none_or(|own| least.is_some_and(|least| least > own));
        let lower = self.most.is_none_or(|own| most.is_some_and(|most| most < own));
        Self {
            least: if higher { least } else { self.least },
            most: if lower { most } else { self.most },
        }
    }
}

/// Why not every number of the writer is one of the reader.
fn outside<T: PartialOrd + Display>(writer: Range<T>, reader: Range<T>) -> Option<String> {
    let is_below = |least: &T| writer.least.as_ref().is_none_or(|written| written < least);
    let is_above = |most: &T| writer.most.as_ref().is_none_or(|written| written > most);
    let is_outside =
        reader.least.as_ref().is_some_and(is_below) || reader.most.as_ref().is_some_and(is_above);
    is_outside.then(|| format!("numbers {writer} are written, numbers {reader} are read"))
}

impl<T: Display> Display for Range<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.least, &self.most) {
            (Some(least), Some(most)) => write!(f, "from {least} to {most}"),
            (Some(least), None) => write!(f, "from {least}"),
            (None, Some(most)) => write!(f, "up to {most}"),
            (None, None) => f.write_str("of any size"),
        }
    }
}
