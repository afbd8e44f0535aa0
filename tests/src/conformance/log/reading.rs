//! Chapter: what is read is what was appended, page by page.

use std::time::Duration;

use highwater::{
    Append, AppendCondition, BareEvent, CommandId, CorrelationId, EventId, ExpectedVersion,
    GlobalPosition, Metadata, NewEvent, Payload, Selection, StreamVersion,
};

use super::LogFactory;
use super::given::{
    appended, category, event, events, everything, position, query_tagged, stream, tag, tagged,
    to_any, versions, whole_stream,
};

/// Every field of the envelope comes back as it was given.
pub async fn an_event_comes_back_as_it_was_appended(log: &dyn LogFactory) {
    let store = log.open().await;
    let mut full = event("fully.described")
        .with_tag(tag("z:last"))
        .with_tag(tag("a:first: with a colon, 'quotes' and 🦀"))
        .with_metadata(full_metadata());
    full.schema_version = u32::MAX;
    let plain = event("plain");
    let started = jiff::Timestamp::now();
    appended(&*store, to_any(&stream("a"), vec![full.clone(), plain.clone()])).await;
    let read = whole_stream(&*store, &stream("a")).await;
    for (recorded, given) in read.iter().zip([&full, &plain]) {
        assert_eq!(recorded.id, given.id);
        assert_eq!(recorded.event_type, given.event_type);
        assert_eq!(recorded.schema_version, given.schema_version);
        assert_eq!(recorded.data, given.data);
        assert_eq!(recorded.tags, given.tags, "tags keep their order");
        assert_eq!(recorded.metadata, given.metadata);
        assert_eq!(recorded.stream, stream("a"));
        let age = recorded.recorded_at.duration_since(started).unsigned_abs();
        assert!(age < Duration::from_secs(60), "recorded {age:?} away from now");
    }
}

/// JSON is text: spaces, the order of keys, escapes and large numbers come back as they were.
pub async fn json_text_comes_back_byte_for_byte(log: &dyn LogFactory) {
    let store = log.open().await;
    let texts = [
        "null",
        "\"\"",
        "{ \"b\" : 1,\n\t\"a\" : 2, \"b\" : 3 }",
        "123456789012345678901234567890.1234567890e-400",
        "\"\\u0000 \\ud83e\\udd80 \\/ 🦀 \u{2028} \u{fffd}\"",
        "[[[[]]],{},\"'; DROP TABLE events; --\"]",
    ];
    let given: Vec<NewEvent> = texts
        .iter()
        .map(|text| NewEvent {
            data: Payload::from_json((*text).to_owned()).unwrap(),
            ..event("json")
        })
        .collect();
    appended(&*store, to_any(&stream("a"), given)).await;
    let read = whole_stream(&*store, &stream("a")).await;
    let read: Vec<&str> = read.iter().map(|event| event.data.as_json()).collect();
    assert_eq!(read, texts);
}

/// A stream is read in order, behind a version, up to a limit.
pub async fn a_stream_is_read_in_order_behind_a_version(log: &dyn LogFactory) {
    let store = log.open().await;
    for _ in 0..10 {
        appended(&*store, to_any(&stream("a"), events(1))).await;
        appended(&*store, to_any(&stream("b"), events(1))).await;
    }
    for (after, limit, expected) in [
        (0, 3, vec![1, 2, 3]),
        (3, 3, vec![4, 5, 6]),
        (8, 100, vec![9, 10]),
        (10, 1, vec![]),
        (99, 1, vec![]),
        (0, 0, vec![]),
    ] {
        let read = store.read_stream(&stream("a"), StreamVersion::new(after), limit).await.unwrap();
        assert_eq!(versions(&read), expected, "{limit} behind {after}");
        assert!(read.iter().all(|event| event.stream == stream("a")));
    }
}

/// A stream nobody appended to is empty, not an error.
pub async fn a_stream_that_does_not_exist_has_no_events(log: &dyn LogFactory) {
    let store = log.open().await;
    assert!(whole_stream(&*store, &stream("nobody")).await.is_empty());
}

/// Whatever the size of the pages, together they hold every event once and in order.
pub async fn the_log_is_read_page_by_page_without_loss_or_repetition(log: &dyn LogFactory) {
    let store = log.open().await;
    for index in 0..23_usize {
        appended(&*store, to_any(&stream(&(index % 5).to_string()), events(1 + index % 3))).await;
    }
    let all = everything(&*store, &Selection::All).await;
    assert!(all.is_sorted_by(|a, b| a.position < b.position));
    assert_eq!(all.len(), 45);
    for limit in [1, 2, 7, 45, 46, 1_000] {
        let mut read = Vec::new();
        let mut after = GlobalPosition::START;
        loop {
            let page = store.read_all(&Selection::All, after, limit).await.unwrap();
            assert!(page.events.len() <= limit && page.read_to >= after);
            after = page.read_to;
            read.extend(page.events);
            if page.is_last {
                break;
            }
        }
        assert_eq!(read, all, "in pages of {limit}");
    }
}

/// A full page is read to its last event and isn't known to be the last; a short one is read to
/// the high-water mark.
pub async fn a_full_page_ends_at_its_last_event_and_a_short_one_at_the_head(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(5))).await;
    let head = store.high_water_mark().await.unwrap();
    let full = store.read_all(&Selection::All, GlobalPosition::START, 3).await.unwrap();
    assert_eq!(full.events.len(), 3);
    assert_eq!(full.read_to, full.events[2].position);
    assert!(!full.is_last);
    let short = store.read_all(&Selection::All, full.read_to, 3).await.unwrap();
    assert_eq!(short.events.len(), 2);
    assert_eq!(short.read_to, head);
    assert!(short.is_last);
}

/// Reading behind the head finds nothing and leaves the reader where it was, also if that is
/// beyond the head: a reader never moves back.
pub async fn a_page_behind_the_head_is_empty_and_does_not_move_back(log: &dyn LogFactory) {
    let store = log.open().await;
    let on_empty = store.read_all(&Selection::All, GlobalPosition::START, 10).await.unwrap();
    assert_eq!((on_empty.events.len(), on_empty.read_to), (0, GlobalPosition::START));
    assert!(on_empty.is_last);
    let head = appended(&*store, to_any(&stream("a"), events(2))).await.position;
    for after in [head, position(head.get() + 1_000)] {
        let page = store.read_all(&Selection::All, after, 10).await.unwrap();
        assert_eq!((page.events.len(), page.read_to, page.is_last), (0, after, true));
    }
}

/// A page that may hold nothing doesn't claim to have read anything.
pub async fn a_page_of_no_events_moves_nowhere(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(2))).await;
    let page = store.read_all(&Selection::All, GlobalPosition::START, 0).await.unwrap();
    assert_eq!((page.events.len(), page.read_to), (0, GlobalPosition::START));
    assert!(!page.is_last, "there is more to read");
}

/// Found events come in order of position, each once; ids that aren't in the log are left out.
pub async fn found_events_come_in_order_and_unknown_ids_are_left_out(log: &dyn LogFactory) {
    let store = log.open().await;
    let given = events(5);
    appended(&*store, to_any(&stream("a"), given.clone())).await;
    let ids = [given[4].id, EventId::new(), given[0].id, given[4].id, given[2].id];
    let found = store.find(&ids).await.unwrap();
    let found: Vec<EventId> = found.iter().map(|event| event.id).collect();
    assert_eq!(found, [given[0].id, given[2].id, given[4].id]);
    assert!(store.find(&[]).await.unwrap().is_empty());
    assert!(store.find(&[EventId::new()]).await.unwrap().is_empty());
    let many: Vec<EventId> = (0..40_000).map(|_| EventId::new()).chain([given[1].id]).collect();
    assert_eq!(store.find(&many).await.unwrap().len(), 1, "however many ids are asked for");
}

/// By stream, by position, by id, through another handle: it is the same event.
pub async fn all_ways_to_read_an_event_agree(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    let given =
        vec![event("one").with_metadata(full_metadata()), event("two").with_tag(tag("a:b"))];
    let ids: Vec<EventId> = given.iter().map(|event| event.id).collect();
    appended(&*store, Append::to(stream("a"), ExpectedVersion::NoStream, given)).await;
    let by_stream = whole_stream(&*store, &stream("a")).await;
    assert_eq!(by_stream.len(), 2);
    for handle in [&*store, &*other] {
        assert_eq!(everything(handle, &Selection::All).await, by_stream);
        assert_eq!(everything(handle, &Selection::Stream(stream("a"))).await, by_stream);
        assert_eq!(handle.find(&ids).await.unwrap(), by_stream);
        assert_eq!(whole_stream(handle, &stream("a")).await, by_stream);
    }
}

/// Whichever way the append goes into the store: alone, on condition, to several streams, repeated.
pub async fn an_answer_tells_when_its_events_were_recorded(log: &dyn LogFactory) {
    let store = log.open().await;
    let one = |key: &str| to_any(&stream(key), events(1));
    let condition = AppendCondition::new(query_tagged(&["a:c"]), GlobalPosition::START);
    let several = one("d").and_to(stream("e"), ExpectedVersion::NoStream, events(2));
    for append in [one("b"), one("c").with_condition(condition), several] {
        for append in [append.clone(), append] {
            let answered = appended(&*store, append).await;
            let page = store.read_all(&Selection::All, GlobalPosition::START, 100).await.unwrap();
            let last = page.events.last().unwrap();
            let (position, recorded_at) = (answered.position, answered.recorded_at);
            assert_eq!((last.position, last.recorded_at), (position, recorded_at));
        }
    }
}

/// Whatever is selected, behind whatever place, however long the page.
pub async fn a_bare_event_is_the_whole_one_without_its_envelope(log: &dyn LogFactory) {
    let store = log.open().await;
    for (key, kind) in [("a", "x"), ("b", "y"), ("a", "y"), ("a", "x"), ("aa", "x"), ("a", "z")] {
        let given = tagged(kind, &[&format!("key:{key}")]).with_metadata(full_metadata());
        appended(&*store, to_any(&stream(key), vec![given])).await;
    }
    let tagged_a = Selection::Query(query_tagged(&["key:a"]));
    let category = Selection::Category(category(stream("a").category()));
    let of_a = Selection::Stream(stream("a"));
    for selection in [Selection::All, category, of_a, tagged_a, Selection::types(["x", "z"])] {
        for (after, limit) in (0..8).flat_map(|after| [0, 1, 2, 100].map(|limit| (after, limit))) {
            let after = GlobalPosition::new(after);
            let whole = store.read_all(&selection, after, limit).await.unwrap();
            let bare = store.read_all_bare(&selection, after, limit).await.unwrap();
            assert_eq!((bare.read_to, bare.is_last), (whole.read_to, whole.is_last));
            assert_eq!(bare.events, whole.map(BareEvent::from).events, "{selection:?} {after}");
        }
    }
    for (after, limit) in (0..6).flat_map(|after| [0, 1, 2, 100].map(|limit| (after, limit))) {
        let after = StreamVersion::new(after);
        let whole = store.read_stream(&stream("a"), after, limit).await.unwrap();
        let mut bare = Vec::new();
        let mut visit = |event| bare.push(event);
        let visited = store.visit_stream(&stream("a"), after, limit, &mut visit).await.unwrap();
        assert_eq!(visited, whole.len());
        assert_eq!(bare, whole.into_iter().map(BareEvent::from).collect::<Vec<_>>());
    }
}

fn full_metadata() -> Metadata {
    let mut metadata = Metadata::default()
        .with_correlation(CorrelationId::new())
        .with_causation(EventId::new())
        .with_command(CommandId::new())
        .with_actor("Zoë \"the\" O'Neill\u{0}")
        .with_header("x-empty", "")
        .with_header("", "🦀");
    metadata.tenant = Some("tenant".to_owned());
    metadata.traceparent =
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    metadata
}
