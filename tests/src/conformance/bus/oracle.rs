//! What must be true of every bus, whatever was done to it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use highwater::bus::Message;
use highwater::{EventId, EventStore, GlobalPosition, RecordedEvent, Selection};

/// Whether `arrived` is the log's category `order` with repetitions: every event is there, and, when
/// repetitions are left out by their ids, each stream in the order of the log.
///
/// # Errors
/// What is wrong, in words.
///
/// # Panics
/// If the log can't be read.
pub async fn check(store: &Arc<dyn EventStore>, arrived: &[Message]) -> Result<(), String> {
    let mut expected: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    for event in whole_log(store).await {
        if event.stream.category() == "order" {
            expected.entry(event.stream.to_string()).or_default().push(event.id);
        }
    }
    let news = without_repetitions(arrived);
    if let Some(stranger) = news.keys().find(|stream| !expected.contains_key(*stream)) {
        return Err(format!("stream {stranger} isn't in the log's category"));
    }
    for (stream, in_log) in &expected {
        let empty = Vec::new();
        let there = news.get(stream).unwrap_or(&empty);
        if there.len() < in_log.len() {
            return Err(format!("{} of {} events of {stream} arrived", there.len(), in_log.len()));
        }
        if there != in_log {
            return Err(format!("the events of {stream} arrived in another order"));
        }
    }
    Ok(())
}

/// As [`check`], for a test that must not go on.
///
/// # Panics
/// If the check finds something.
pub async fn holds(store: &Arc<dyn EventStore>, arrived: &[Message]) {
    if let Err(wrong) = check(store, arrived).await {
        panic!("{wrong}");
    }
}

fn without_repetitions(arrived: &[Message]) -> BTreeMap<String, Vec<EventId>> {
    let mut seen = HashSet::new();
    let mut news: BTreeMap<String, Vec<EventId>> = BTreeMap::new();
    for message in arrived.iter().filter(|message| seen.insert(message.id())) {
        news.entry(message.key().to_owned()).or_default().push(message.id());
    }
    news
}

async fn whole_log(store: &Arc<dyn EventStore>) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), GlobalPosition::START);
    loop {
        let page = store.read_all(&Selection::All, after, 1000).await.unwrap();
        after = page.read_to;
        events.extend(page.events);
        if page.is_last {
            return events;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::bus::given;
    use highwater::MemoryStore;
    use highwater::bus::Topic;

    /// Two streams of three events each, and their messages in the log's order.
    async fn case() -> (Arc<dyn EventStore>, Vec<Message>) {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        given::orders(&store, 6, 2).await;
        let events = whole_log(&store).await.into_iter();
        let messages = events.map(|event| Message::new(Topic::new("t"), event)).collect();
        (store, messages)
    }

    #[tokio::test]
    async fn repetitions_are_allowed_also_late_ones() {
        let (store, mut arrived) = case().await;
        let again = arrived.clone();
        arrived.extend(again);
        holds(&store, &arrived).await;
    }

    #[tokio::test]
    async fn a_gap_and_a_wrong_order_are_found() {
        let (store, arrived) = case().await;
        for missing in 0..arrived.len() {
            let mut holey = arrived.clone();
            holey.remove(missing);
            assert!(check(&store, &holey).await.is_err());
            // Late is wrong too, unless the event is the last of its stream.
            holey.push(arrived[missing].clone());
            assert_eq!(check(&store, &holey).await.is_ok(), missing >= 4);
        }
    }
}
