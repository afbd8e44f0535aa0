//! What the promises are told with: events, streams, tags, and short ways to append and to read.

use highwater::{
    Append, AppendError, Appended, Category, EventStore, ExpectedVersion, GlobalPosition, NewEvent,
    Query, QueryItem, RecordedEvent, Selection, StreamId, StreamVersion, Tag,
};

/// A stream of the category `test`.
#[must_use]
pub fn stream(key: &str) -> StreamId {
    StreamId::new("test", key).unwrap()
}

/// A category by its name.
#[must_use]
pub fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

/// A tag by its whole text.
#[must_use]
pub fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

/// An event of a type, with data nobody looks at.
#[must_use]
pub fn event(event_type: &str) -> NewEvent {
    NewEvent::new(event_type, &serde_json::json!({ "of": event_type })).unwrap()
}

/// An event of a type that carries tags.
#[must_use]
pub fn tagged(event_type: &str, tags: &[&str]) -> NewEvent {
    tags.iter().fold(event(event_type), |event, text| event.with_tag(tag(text)))
}

/// Several events of one type.
#[must_use]
pub fn events(count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event("happened")).collect()
}

/// An append to one stream that expects nothing of it.
#[must_use]
pub fn to_any(stream: &StreamId, events: Vec<NewEvent>) -> Append {
    Append::to(stream.clone(), ExpectedVersion::Any, events)
}

/// The expectation that a stream stands at a version.
#[must_use]
pub fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(StreamVersion::new(version))
}

/// A query for the events that carry all of some tags.
#[must_use]
pub fn query_tagged(tags: &[&str]) -> Query {
    Query::of(QueryItem::tagged(tags.iter().map(|text| tag(text))))
}

/// A position by its number.
#[must_use]
pub fn position(number: u64) -> GlobalPosition {
    GlobalPosition::new(number)
}

/// Appends, and expects it to succeed.
pub async fn appended(store: &dyn EventStore, append: Append) -> Appended {
    store.append(append).await.unwrap()
}

/// Appends, and expects it to fail.
pub async fn refused(store: &dyn EventStore, append: Append) -> AppendError {
    store.append(append).await.unwrap_err()
}

/// Reads all that a selection wants, from the start, in pages of 100.
pub async fn everything(store: &dyn EventStore, selection: &Selection) -> Vec<RecordedEvent> {
    let mut all = Vec::new();
    let mut after = GlobalPosition::START;
    loop {
        let page = store.read_all(selection, after, 100).await.unwrap();
        after = page.read_to;
        all.extend(page.events);
        if page.is_last {
            return all;
        }
    }
}

/// Reads one stream from its start.
pub async fn whole_stream(store: &dyn EventStore, stream: &StreamId) -> Vec<RecordedEvent> {
    store.read_stream(stream, StreamVersion::EMPTY, usize::MAX).await.unwrap()
}

/// The versions of events, in the order they came in.
#[must_use]
pub fn versions(events: &[RecordedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.version.get()).collect()
}

/// The types of events, in the order they came in.
#[must_use]
pub fn types(events: &[RecordedEvent]) -> Vec<&str> {
    events.iter().map(|event| event.event_type.as_str()).collect()
}
