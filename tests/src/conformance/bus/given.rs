//! What the bus suites append.

use std::sync::Arc;

use highwater::{
    Append, CorrelationId, EventId, EventStore, ExpectedVersion, Metadata, NewEvent, StreamId,
};

/// Appends `count` events, one after another, to `streams` streams of category `order` in turn.
///
/// # Panics
/// If the log doesn't take them.
pub async fn orders(store: &Arc<dyn EventStore>, count: usize, streams: usize) -> Vec<EventId> {
    let mut ids = Vec::with_capacity(count);
    for number in 0..count {
        ids.push(event(store, "order", number % streams).await);
    }
    ids
}

/// Appends one event to stream `key` of `category`.
///
/// # Panics
/// If the log doesn't take it.
pub async fn event(store: &Arc<dyn EventStore>, category: &str, key: usize) -> EventId {
    let metadata = Metadata::default().with_correlation(CorrelationId::new());
    let event =
        NewEvent::new("order.noted", &format!("naïve {key}")).unwrap().with_metadata(metadata);
    let id = event.id;
    let stream = StreamId::new(category, format!("ключ {key}")).unwrap();
    store.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await.unwrap();
    id
}
