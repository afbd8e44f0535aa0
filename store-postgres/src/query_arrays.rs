//! A query as the database takes it: one array literal of types and one of tags per item.

use highwater_core::{EventType, Query, Tag};

/// The arrays that `highwater.matching_positions` takes.
pub(crate) struct QueryArrays {
    pub(crate) item_types: Vec<String>,
    pub(crate) item_tags: Vec<String>,
}

impl QueryArrays {
    pub(crate) fn of(query: &Query) -> Self {
        let types = |types: &[EventType]| array_literal(types.iter().map(EventType::as_str));
        let tags = |tags: &[Tag]| array_literal(tags.iter().map(Tag::as_str));
        Self {
            item_types: query.items().iter().map(|item| types(item.event_types())).collect(),
            item_tags: query.items().iter().map(|item| tags(item.tags())).collect(),
        }
    }
}

/// Writes a `text[]` as Postgres reads it. Arrays of arrays must be rectangular there, and these
/// aren't, so the inner ones travel as text.
pub(crate) fn array_literal<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut literal = String::from("{");
    for (index, text) in texts.enumerate() {
        literal.push_str(if index == 0 { "\"" } else { ",\"" });
        for character in text.chars() {
            if matches!(character, '"' | '\\') {
                literal.push('\\');
            }
            literal.push(character);
        }
        literal.push('"');
    }
    literal.push('}');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_quoted_and_its_quotes_escaped() {
        let texts = ["a", "b\"c", "d\\e", "f,g", "NULL", "{}"];
        let literal = array_literal(texts.into_iter());
        assert_eq!(literal, r#"{"a","b\"c","d\\e","f,g","NULL","{}"}"#);
        assert_eq!(array_literal(std::iter::empty()), "{}");
    }
}
