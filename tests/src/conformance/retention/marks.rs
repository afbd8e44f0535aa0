//! Marks: from a mark on, whoever reads below it is told, and nobody reads a part.

use highwater::retention::StreamRetention;
use highwater::{ReadError, Selection, StreamVersion};

use super::RetentionFactory;
use crate::conformance::log::given::{
    appended, category, event, events, everything, position, query_tagged, stream, tagged, to_any,
};

fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

/// A log that nothing was removed from says so.
pub async fn nothing_is_marked_at_first(log: &impl RetentionFactory) {
    let store = log.open().await;
    assert_eq!(store.removed_to().await.unwrap(), position(0));
    let none = store.stream_retention(&stream("a")).await.unwrap();
    assert_eq!(none, StreamRetention::default());
    appended(&*store, to_any(&stream("a"), events(2))).await;
    let whole = store.stream_retention(&stream("a")).await.unwrap();
    assert_eq!(whole, StreamRetention { head: version(2), ..none });
}

/// The mark alone is enough: a removal may begin at any moment.
pub async fn a_stream_is_refused_below_its_mark_though_its_events_are_there(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    appended(&*store, to_any(&stream("b"), events(5))).await;
    store.mark_stream(&stream("a"), version(3)).await.unwrap();
    for after in 0..3 {
        match store.read_stream(&stream("a"), version(after), 10).await {
            Err(ReadError::StreamTruncated { stream: of, after: behind, removed_to }) => {
                assert_eq!((of, behind), (stream("a"), version(after)));
                assert_eq!(removed_to, version(3));
            }
            other => panic!("behind version {after}: {other:?}"),
        }
        let visited = store.visit_stream(&stream("a"), version(after), 10, &mut |_| {}).await;
        assert!(matches!(visited, Err(ReadError::StreamTruncated { .. })), "{visited:?}");
    }
    assert_eq!(store.read_stream(&stream("b"), version(0), 10).await.unwrap().len(), 5);
}

/// Along the log too, as long as it is this stream that is asked for; marked or removed.
pub async fn a_stream_is_refused_along_the_log_before_its_mark(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(2))).await;
    appended(&*store, to_any(&stream("b"), events(2))).await;
    appended(&*store, to_any(&stream("a"), events(3))).await;
    appended(&*store, to_any(&stream("b"), events(1))).await;
    let of = |key| Selection::Stream(stream(key));
    store.mark_stream(&stream("a"), version(3)).await.unwrap();
    for is_removed in [false, true] {
        // Version 3 stands at position 5.
        for after in 0..5 {
            match store.read_all(&of("a"), position(after), 10).await {
                Err(ReadError::StreamTruncated { stream: of, removed_to, .. }) => {
                    assert_eq!((of, removed_to), (stream("a"), version(3)));
                }
                other => panic!("behind {after}, removed: {is_removed}: {other:?}"),
            }
            let bare = store.read_all_bare(&of("a"), position(after), 10).await;
            assert!(matches!(bare, Err(ReadError::StreamTruncated { .. })), "{bare:?}");
        }
        for (after, count) in [(5, 2), (6, 1), (7, 0), (8, 0)] {
            let page = store.read_all(&of("a"), position(after), 10).await.unwrap();
            assert_eq!(page.events.len(), count, "behind {after}, removed: {is_removed}");
        }
        assert_eq!(store.read_all(&of("b"), position(0), 10).await.unwrap().events.len(), 3);
        store.remove_from_stream(&stream("a"), 10).await.unwrap();
    }
    // Below the log's mark the log's answer is the one.
    store.mark_log(position(6)).await.unwrap();
    let read = store.read_all(&of("a"), position(0), 10).await;
    assert!(matches!(read, Err(ReadError::LogTruncated { .. })), "{read:?}");
    let bare = store.read_all_bare(&of("a"), position(0), 10).await;
    assert!(matches!(bare, Err(ReadError::LogTruncated { .. })), "{bare:?}");
    assert_eq!(store.read_all(&of("a"), position(6), 10).await.unwrap().events.len(), 1);
}

/// What stands above the mark is read as ever.
pub async fn a_stream_is_read_at_its_mark_and_above(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    store.mark_stream(&stream("a"), version(3)).await.unwrap();
    for (after, first) in [(3, Some(4)), (4, Some(5)), (5, None)] {
        let read = store.read_stream(&stream("a"), version(after), 10).await.unwrap();
        assert_eq!(read.first().map(|event| event.version.get()), first);
    }
}

/// Marking late or twice gives nothing back.
pub async fn a_mark_never_falls(log: &impl RetentionFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    for to in [3, 1, 0] {
        store.mark_stream(&stream("a"), version(to)).await.unwrap();
        store.mark_log(position(to)).await.unwrap();
    }
    assert_eq!(store.stream_retention(&stream("a")).await.unwrap().removed_to, version(3));
    assert_eq!(store.removed_to().await.unwrap(), position(3));
}

/// No selection makes a part of the log look like all of it, an empty one least.
pub async fn the_log_is_refused_below_its_mark_whatever_is_selected(log: &impl RetentionFactory) {
    let store = log.open().await;
    let events = (0..5).map(|_| tagged("happened", &["about:a"])).collect();
    appended(&*store, to_any(&stream("a"), events)).await;
    store.mark_log(position(3)).await.unwrap();
    for selection in [
        Selection::All,
        Selection::Category(category("test")),
        Selection::Category(category("nothing")),
        Selection::Stream(stream("a")),
        Selection::Stream(stream("nothing")),
        Selection::Query(query_tagged(&["about:a"])),
        Selection::Query(query_tagged(&["about:nothing"])),
    ] {
        match store.read_all(&selection, position(2), 10).await {
            Err(ReadError::LogTruncated { after, removed_to }) => {
                assert_eq!((after, removed_to), (position(2), position(3)), "{selection:?}");
            }
            other => panic!("{selection:?}: {other:?}"),
        }
    }
}

/// What stands above the mark is read as ever.
pub async fn the_log_is_read_at_its_mark_and_above(log: &impl RetentionFactory) {
    let store = log.open().await;
    let first = appended(&*store, to_any(&stream("a"), vec![event("old")])).await.position;
    appended(&*store, to_any(&stream("a"), vec![event("new")])).await;
    assert_eq!(everything(&*store, &Selection::All).await.len(), 2);
    store.mark_log(first).await.unwrap();
    let page = store.read_all(&Selection::All, first, 10).await.unwrap();
    let types: Vec<_> = page.events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["new"]);
}
