//! Chapter: a reader gets what its selection wants, and moves over the rest.

use highwater::{EventStore, GlobalPosition, Query, QueryItem, RecordedEvent, Selection, StreamId};

use super::LogFactory;
use super::given::{
    appended, category, event, events, everything, query_tagged, stream, tag, tagged, to_any, types,
};

/// A category is a whole word: not the beginning of another, and blind to no case.
pub async fn a_category_is_told_from_those_it_begins_like(log: &dyn LogFactory) {
    let store = log.open().await;
    let names =
        ["order-1", "orders-1", "order.line-1", "Order-1", "ord-er", "order-2-b", "order_-1"];
    for name in names {
        appended(&*store, to_any(&StreamId::parse(name).unwrap(), events(1))).await;
    }
    for (wanted, expected) in [
        ("order", &["order-1", "order-2-b"][..]),
        ("orders", &["orders-1"]),
        ("order.line", &["order.line-1"]),
        ("Order", &["Order-1"]),
        ("order_", &["order_-1"]),
        ("orde", &[]),
    ] {
        let read = everything(&*store, &Selection::Category(category(wanted))).await;
        let streams: Vec<&str> = read.iter().map(|event| event.stream.as_str()).collect();
        assert_eq!(streams, expected, "category {wanted}");
    }
}

/// One stream's events, and no other's.
pub async fn a_stream_selection_reads_that_stream_only(log: &dyn LogFactory) {
    let store = log.open().await;
    for key in ["a", "b", "a", "aa"] {
        appended(&*store, to_any(&stream(key), vec![event(key)])).await;
    }
    let read = everything(&*store, &Selection::Stream(stream("a"))).await;
    assert_eq!(types(&read), ["a", "a"]);
}

/// Types are alternatives.
pub async fn types_select_any_of_them(log: &dyn LogFactory) {
    let store = log.open().await;
    let given = ["x", "y", "z", "x", "X"].map(event).to_vec();
    appended(&*store, to_any(&stream("a"), given)).await;
    assert_eq!(types(&everything(&*store, &Selection::types(["x", "z"])).await), ["x", "z", "x"]);
}

/// Tags are all needed, in whatever order they are asked for.
pub async fn tags_select_only_events_that_carry_all_of_them(log: &dyn LogFactory) {
    let store = log.open().await;
    let given = vec![
        tagged("none", &[]),
        tagged("one", &["k:1"]),
        tagged("both", &["k:1", "k:2"]),
        tagged("three", &["k:3", "k:2", "k:1"]),
        tagged("other", &["k:12", "K:1"]),
    ];
    appended(&*store, to_any(&stream("a"), given)).await;
    for tags in [["k:1", "k:2"], ["k:2", "k:1"]] {
        let read = everything(&*store, &Selection::Query(query_tagged(&tags))).await;
        assert_eq!(types(&read), ["both", "three"]);
    }
    let with_type = Query::of(QueryItem::types(["one", "three"]).and_tag(tag("k:1")));
    assert_eq!(types(&everything(&*store, &Selection::Query(with_type)).await), ["one", "three"]);
}

/// Items are alternatives; an event that several of them match comes once, and in order.
pub async fn items_of_a_query_are_alternatives_and_no_event_comes_twice(log: &dyn LogFactory) {
    let store = log.open().await;
    let given =
        vec![tagged("b", &["k:1"]), tagged("a", &["k:1"]), tagged("c", &["k:2"]), tagged("d", &[])];
    appended(&*store, to_any(&stream("a"), given)).await;
    let query = Query::of(QueryItem::types(["a", "c"]))
        .or(QueryItem::tagged([tag("k:1")]))
        .or(QueryItem::types(["a"]).and_tag(tag("k:1")));
    let selection = Selection::Query(query);
    assert_eq!(types(&everything(&*store, &selection).await), ["b", "a", "c"]);
    assert_eq!(types(&in_pages_of(&*store, &selection, 1).await), ["b", "a", "c"]);
    let all = Selection::Query(Query::of(QueryItem::default()));
    assert_eq!(everything(&*store, &all).await.len(), 4, "an empty item wants everything");
}

/// A query without items wants nothing, and its reader still moves.
pub async fn a_query_without_items_selects_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    let head = appended(&*store, to_any(&stream("a"), events(3))).await.position;
    let nothing = Selection::Query(Query::default());
    let page = store.read_all(&nothing, GlobalPosition::START, 10).await.unwrap();
    assert_eq!((page.events.len(), page.read_to, page.is_last), (0, head, true));
}

/// A reader whose events are rare moves to the head over all the others: its checkpoint follows,
/// and its lag is none.
pub async fn a_reader_of_few_events_still_moves_to_the_head(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), vec![tagged("rare", &["k:1"])])).await;
    let head = appended(&*store, to_any(&stream("b"), events(50))).await.position;
    let selections = [
        Selection::types(["rare"]),
        Selection::Stream(stream("a")),
        Selection::Query(query_tagged(&["k:1"])),
    ];
    for selection in selections {
        let page = store.read_all(&selection, GlobalPosition::START, 2).await.unwrap();
        assert_eq!(
            (page.events.len(), page.read_to, page.is_last),
            (1, head, true),
            "{selection:?}"
        );
    }
}

/// Pages of every selection join without loss or repetition, however small.
pub async fn selected_pages_go_on_where_the_last_one_ended(log: &dyn LogFactory) {
    let store = log.open().await;
    for index in 0..30_usize {
        let event_type = ["x", "y", "z"][index % 3];
        let number = format!("k:{}", index % 4);
        let given = tagged(event_type, &[&number, "all:1"]);
        let category = ["even", "odd"][index % 2];
        let of = StreamId::new(category, index % 6).unwrap();
        appended(&*store, to_any(&of, vec![given])).await;
    }
    let all = everything(&*store, &Selection::All).await;
    let selections = [
        Selection::All,
        Selection::Category(category("odd")),
        Selection::Stream(StreamId::new("even", 4).unwrap()),
        Selection::types(["y", "z"]),
        Selection::Query(query_tagged(&["k:3", "all:1"])),
        Selection::Query(query_tagged(&["k:1"]).or(QueryItem::types(["x"]).and_tag(tag("k:2")))),
    ];
    for selection in selections {
        let wanted: Vec<_> = all.iter().filter(|event| selection.matches(event)).cloned().collect();
        assert!(!wanted.is_empty());
        for limit in [1, 3, 100] {
            let read = in_pages_of(&*store, &selection, limit).await;
            assert_eq!(read, wanted, "{selection:?} in pages of {limit}");
        }
    }
}

async fn in_pages_of(
    store: &dyn EventStore,
    selection: &Selection,
    limit: usize,
) -> Vec<RecordedEvent> {
    let mut read = Vec::new();
    let mut after = GlobalPosition::START;
    loop {
        let page = store.read_all(selection, after, limit).await.unwrap();
        after = page.read_to;
        read.extend(page.events);
        if page.is_last {
            return read;
        }
    }
}
