//! Chapter: limits, hostile names, and numbers beyond all bounds.

use highwater::{
    Append, AppendCondition, AppendError, ExpectedVersion, GlobalPosition, InvalidAppend, NewEvent,
    Query, QueryItem, Selection, StreamId, StreamVersion,
};

use super::LogFactory;
use super::given::{
    appended, event, events, everything, exactly, query_tagged, refused, stream, tag, tagged,
    to_any, whole_stream,
};

const MIB: usize = 1024 * 1024;

/// Nothing to append is an error, wherever the nothing stands.
pub async fn an_append_without_events_is_invalid(log: &dyn LogFactory) {
    let store = log.open().await;
    let empty_part =
        to_any(&stream("a"), events(1)).and_to(stream("b"), ExpectedVersion::Any, vec![]);
    for append in [to_any(&stream("a"), vec![]), empty_part] {
        let refusal = refused(&*store, append).await;
        assert!(matches!(refusal, AppendError::Invalid(InvalidAppend::Empty)), "{refusal:?}");
    }
    assert!(everything(&*store, &Selection::All).await.is_empty());
}

/// A stream twice or an event id twice in one append is an error.
pub async fn an_append_with_a_stream_or_an_id_twice_is_invalid(log: &dyn LogFactory) {
    let store = log.open().await;
    let twice =
        to_any(&stream("a"), events(1)).and_to(stream("a"), ExpectedVersion::Any, events(1));
    let refusal = refused(&*store, twice).await;
    assert!(matches!(refusal, AppendError::Invalid(InvalidAppend::StreamTwice(_))), "{refusal:?}");
    let same = event("same");
    let refusal = refused(&*store, to_any(&stream("a"), vec![same.clone(), same])).await;
    assert!(matches!(refusal, AppendError::Invalid(InvalidAppend::EventIdTwice(_))), "{refusal:?}");
    assert!(everything(&*store, &Selection::All).await.is_empty());
}

/// An append beyond the limits is an error that names the limit, and is not retryable.
pub async fn an_append_beyond_the_limits_is_invalid(log: &dyn LogFactory) {
    let store = log.open().await;
    let too_large = NewEvent::new("large", &"x".repeat(8 * MIB)).unwrap();
    let refusal = refused(&*store, to_any(&stream("a"), vec![too_large])).await;
    assert!(matches!(refusal, AppendError::Invalid(InvalidAppend::TooLarge { .. })), "{refusal:?}");
    let refusal = refused(&*store, to_any(&stream("a"), events(10_001))).await;
    assert!(!refusal.is_retryable());
    assert!(
        matches!(refusal, AppendError::Invalid(InvalidAppend::TooManyEvents { events: 10_001 })),
        "{refusal:?}"
    );
    assert!(everything(&*store, &Selection::All).await.is_empty());
}

/// What is within the limits is accepted: ten thousand events with tags, and eight megabytes.
pub async fn the_largest_append_is_accepted(log: &dyn LogFactory) {
    let store = log.open().await;
    let many = (0..10_000).map(|_| tagged("many", &["k:1", "k:2"])).collect();
    appended(&*store, to_any(&stream("many"), many)).await;
    let large = NewEvent::new("large", &"x".repeat(8 * MIB - 2)).unwrap();
    appended(&*store, to_any(&stream("large"), vec![large.clone()])).await;
    assert_eq!(whole_stream(&*store, &stream("many")).await.len(), 10_000);
    let read = whole_stream(&*store, &stream("large")).await;
    assert!(read[0].data == large.data);
    assert_eq!(everything(&*store, &Selection::Query(query_tagged(&["k:2"]))).await.len(), 10_000);
}

/// Names that look alike, or like code, are different streams and different tags, and come back as
/// they are.
pub async fn hostile_names_are_kept_apart_and_come_back_as_they_are(log: &dyn LogFactory) {
    let store = log.open().await;
    let long = "x".repeat(512 - "test-".len());
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "a%",
        "a_",
        "a\\",
        "'",
        "\"",
        "'; DROP TABLE events; --",
        "{a,b}",
        "NULL",
        "null",
        "0",
        "00",
        "0x00",
        "-",
        "--",
        "é",
        "e\u{301}",
        "ß",
        "ss",
        "ﬁ",
        "🦀",
        "\u{200b}",
        "\u{202e}a",
        "\u{ffff}",
        "\u{10ffff}",
        "K",
        "\u{212a}",
        "a-b",
        "a/b",
        "../a",
        &long,
    ];
    for name in names {
        let tag_text = format!("k:{}", name.chars().take(60).collect::<String>());
        let append =
            Append::to(stream(name), ExpectedVersion::NoStream, vec![tagged(name, &[&tag_text])]);
        let outcome = store.append(append).await;
        assert!(outcome.is_ok(), "{name:?}: {outcome:?}");
    }
    for name in names {
        let of = stream(name);
        let read = whole_stream(&*store, &of).await;
        assert_eq!(read.len(), 1, "stream {of}");
        assert_eq!((&read[0].stream, read[0].event_type.as_str()), (&of, name));
        let by_tag = Selection::Query(Query::of(QueryItem::tagged(read[0].tags.clone())));
        assert_eq!(everything(&*store, &by_tag).await, read, "tag {:?}", read[0].tags);
        assert_eq!(everything(&*store, &Selection::types([name])).await, read, "type {name:?}");
        assert_eq!(everything(&*store, &Selection::Stream(of)).await, read);
    }
}

/// A tag given twice is kept as it was given, found once, and no error.
pub async fn an_event_may_carry_a_tag_twice(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), vec![tagged("twice", &["k:1", "k:1"])])).await;
    let read = everything(&*store, &Selection::Query(query_tagged(&["k:1", "k:1"]))).await;
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].tags, [tag("k:1"), tag("k:1")]);
}

/// A type with a NUL in it is more than some databases can hold: the store takes it whole or
/// refuses that append for good, and the appends beside it don't feel it.
pub async fn an_event_type_the_store_cannot_hold_is_refused_and_costs_others_nothing(
    log: &dyn LogFactory,
) {
    let store = log.open().await;
    let tasks = (0..12).map(|index| {
        let store = store.clone();
        let event_type = if index == 5 { "a\0b" } else { "fine" };
        let append = to_any(&stream(&index.to_string()), vec![event(event_type)]);
        tokio::spawn(async move { (index, store.append(append).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (5, Ok(_)) => {
                let read = whole_stream(&*store, &stream("5")).await;
                assert_eq!(read[0].event_type.as_str(), "a\0b");
            }
            (5, Err(refusal)) => assert!(
                matches!(refusal, AppendError::Refused { .. } | AppendError::Invalid(_)),
                "{refusal:?}"
            ),
            (index, outcome) => assert!(outcome.is_ok(), "append {index}: {outcome:?}"),
        }
    }
}

/// Positions, versions and limits that no database column can hold read nothing, match nothing,
/// conflict, or read everything; they never fail.
pub async fn numbers_beyond_what_a_database_counts_are_harmless(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), vec![tagged("one", &["k:1"])])).await;
    for number in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let far = GlobalPosition::new(number);
        for selection in [Selection::All, Selection::Query(query_tagged(&["k:1"]))] {
            let page = store.read_all(&selection, far, usize::MAX).await.unwrap();
            assert_eq!((page.events.len(), page.read_to, page.is_last), (0, far, true));
        }
        let version = StreamVersion::new(number);
        assert!(store.read_stream(&stream("a"), version, 1).await.unwrap().is_empty());
        let refusal = refused(&*store, Append::to(stream("a"), exactly(number), events(1))).await;
        assert!(matches!(refusal, AppendError::VersionConflict { .. }), "{refusal:?}");
        let condition = AppendCondition::new(query_tagged(&["k:1"]), far);
        appended(&*store, to_any(&stream("b"), events(1)).with_condition(condition)).await;
    }
    let one = StreamId::parse("test-a").unwrap();
    let read = store.read_stream(&one, StreamVersion::EMPTY, usize::MAX).await.unwrap();
    assert_eq!(read.len(), 1);
}
