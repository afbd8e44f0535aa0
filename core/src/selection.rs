//! Which events a reader, or a condition, is about.

use crate::{Category, EventType, RecordedEvent, StreamId, Tag};

/// Which part of the log a reader wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// Everything.
    #[default]
    All,
    /// The streams of one category.
    Category(Category),
    /// One stream.
    Stream(StreamId),
    /// Events that match a query.
    Query(Query),
}

/// A question about types and tags: an event matches if it matches any item.
///
/// A query without items matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    items: Vec<QueryItem>,
}

/// One alternative of a [`Query`]: an event matches if its type is one of `types` (or `types` is
/// empty) and it carries all of `tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryItem {
    types: Vec<EventType>,
    tags: Vec<Tag>,
}

impl Selection {
    /// Events of the given types, whatever their stream and tags.
    #[must_use]
    pub fn types(types: impl IntoIterator<Item = impl Into<EventType>>) -> Self {
        Self::Query(Query::of(QueryItem::types(types)))
    }

    /// True if the reader wants this event.
    #[must_use]
    pub fn matches(&self, event: &RecordedEvent) -> bool {
        match self {
            Self::All => true,
            Self::Category(category) => event.stream.category() == category.as_str(),
            Self::Stream(stream) => event.stream == *stream,
            Self::Query(query) => query.matches(&event.event_type, &event.tags),
        }
    }
}

impl Query {
    /// A query with one item.
    #[must_use]
    pub fn of(item: QueryItem) -> Self {
        Self { items: vec![item] }
    }

    /// Adds an alternative.
    #[must_use]
    pub fn or(mut self, item: QueryItem) -> Self {
        self.items.push(item);
        self
    }

    /// The alternatives.
    #[must_use]
    pub fn items(&self) -> &[QueryItem] {
        &self.items
    }

    /// True if an event of this type with these tags matches any item.
    #[must_use]
    pub fn matches(&self, event_type: &EventType, tags: &[Tag]) -> bool {
        self.items.iter().any(|item| item.matches(event_type, tags))
    }
}

impl QueryItem {
    /// Events of any of the given types.
    #[must_use]
    pub fn types(types: impl IntoIterator<Item = impl Into<EventType>>) -> Self {
        Self { types: types.into_iter().map(Into::into).collect(), tags: Vec::new() }
    }

    /// Events that carry all of the given tags.
    #[must_use]
    pub fn tagged(tags: impl IntoIterator<Item = Tag>) -> Self {
        Self { types: Vec::new(), tags: tags.into_iter().collect() }
    }

    /// Demands a further tag.
    #[must_use]
    pub fn and_tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// The types, any of which will do; empty means every type.
    #[must_use]
    pub fn event_types(&self) -> &[EventType] {
        &self.types
    }

    /// The tags, all of which are needed.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    fn matches(&self, event_type: &EventType, tags: &[Tag]) -> bool {
        (self.types.is_empty() || self.types.contains(event_type))
            && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_or_tags_are_and_items_are_or() {
        let (a, b) = (Tag::new("k", "a").unwrap(), Tag::new("k", "b").unwrap());
        let query = Query::of(QueryItem::types(["x", "y"]).and_tag(a.clone()).and_tag(b.clone()))
            .or(QueryItem::types(["z"]));
        let both = [a.clone(), b];
        assert!(query.matches(&"x".into(), &both));
        assert!(query.matches(&"y".into(), &both));
        assert!(!query.matches(&"x".into(), &[a]));
        assert!(query.matches(&"z".into(), &[]));
        assert!(!Query::default().matches(&"z".into(), &[]));
    }
}
