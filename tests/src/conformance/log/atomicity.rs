//! Chapter: the events of one append become visible together or not at all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use highwater::{
    Append, AppendError, CorrelationId, EventId, EventStore, ExpectedVersion, GlobalPosition,
    Metadata, NewEvent, Selection,
};

use super::LogFactory;
use super::given::{
    appended, event, events, everything, exactly, refused, stream, to_any, whole_stream,
};

/// An append to several streams succeeds as one, each with its own expectation.
pub async fn an_append_to_several_streams_succeeds_as_one(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    let append = Append::to(stream("a"), exactly(1), events(2))
        .and_to(stream("b"), ExpectedVersion::NoStream, events(1))
        .and_to(stream("c"), ExpectedVersion::Any, events(1));
    appended(&*store, append).await;
    for (key, length) in [("a", 3), ("b", 1), ("c", 1)] {
        assert_eq!(whole_stream(&*store, &stream(key)).await.len(), length, "stream {key}");
    }
}

/// One stream that isn't where it is expected keeps all others unchanged, wherever it stands in
/// the append.
pub async fn one_stream_that_conflicts_keeps_all_the_others_unchanged(log: &dyn LogFactory) {
    let store = log.open().await;
    let any = ExpectedVersion::Any;
    let last = Append::to(stream("a"), any, events(1)).and_to(stream("b"), exactly(1), events(1));
    let first = Append::to(stream("b"), exactly(1), events(1)).and_to(stream("a"), any, events(1));
    for append in [last, first] {
        let refusal = refused(&*store, append).await;
        let AppendError::VersionConflict { stream: of, .. } = refusal else {
            panic!("expected a conflict, got {refusal:?}");
        };
        assert_eq!(of, stream("b"));
    }
    assert!(everything(&*store, &Selection::All).await.is_empty());
}

/// A reader that takes all there is sees every append whole or not at all, whenever it looks.
pub async fn no_reader_sees_half_an_append(log: &dyn LogFactory) {
    const EVENTS: usize = 20;
    let (writer, reader) = (log.open().await, log.open().await);
    let is_done = Arc::new(AtomicBool::new(false));
    let looking = tokio::spawn(look_for_halves(reader, EVENTS, is_done.clone()));
    let tasks = (0..4).map(|task| {
        let store = writer.clone();
        tokio::spawn(async move {
            for index in 0..15 {
                let append = marked(&format!("{task}.{index}"), EVENTS);
                store.append(append).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    is_done.store(true, Ordering::SeqCst);
    assert_eq!(looking.await.unwrap(), 4 * 15, "appends seen at the end");
}

/// An append whose caller walked away is in the log whole, or not at all; appending the same again
/// settles it, and doubles nothing.
pub async fn an_append_that_was_dropped_in_flight_is_whole_or_absent(log: &dyn LogFactory) {
    let store = log.open().await;
    let dropped: Vec<_> = (0..30).map(|index| marked(&format!("dropped {index}"), 3)).collect();
    for (index, append) in dropped.iter().enumerate() {
        let in_flight = store.append(append.clone());
        abandon_after(index % 6, in_flight).await;
    }
    for append in &dropped {
        let ids: Vec<EventId> = append.events().map(|event| event.id).collect();
        let found = store.find(&ids).await.unwrap().len();
        assert!(found == 0 || found == 3, "{found} of 3 events are in the log");
        store.append(append.clone()).await.unwrap();
        assert_eq!(store.find(&ids).await.unwrap().len(), 3);
    }
    assert_eq!(everything(&*store, &Selection::All).await.len(), 90);
}

/// Polls a future while `polls` other turns pass, and drops it.
pub(super) async fn abandon_after<F: Future>(polls: usize, in_flight: F) {
    let turns = async {
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = in_flight => {}
        () = turns => {}
    }
}

/// An append to two streams whose events can be told from all others.
fn marked(key: &str, count: usize) -> Append {
    let mark = Metadata::default().with_correlation(CorrelationId::new());
    let some = |count| -> Vec<NewEvent> {
        (0..count).map(|_| event("marked").with_metadata(mark.clone())).collect()
    };
    let any = ExpectedVersion::Any;
    Append::to(stream(key), any, some(count - 1)).and_to(stream(&format!("{key}'")), any, some(1))
}

/// Reads the whole log at once, again and again; returns how many appends it saw at the end.
async fn look_for_halves(
    store: Arc<dyn EventStore>,
    whole: usize,
    is_done: Arc<AtomicBool>,
) -> usize {
    loop {
        let is_last_look = is_done.load(Ordering::SeqCst);
        let page =
            store.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.unwrap();
        let mut seen: HashMap<Option<CorrelationId>, usize> = HashMap::new();
        for event in &page.events {
            *seen.entry(event.metadata.correlation).or_default() += 1;
        }
        for count in seen.values() {
            assert_eq!(*count, whole, "an append was seen in part");
        }
        if is_last_look {
            return seen.len();
        }
        tokio::task::yield_now().await;
    }
}
