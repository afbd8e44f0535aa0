//! The property behind the chapter on reading: whatever an envelope holds, the store gives it back
//! as it was, or refuses it and says so, and then holds nothing of it.
//!
//! Texts are drawn from what breaks databases and protocols: quotes, NULs as JSON escapes, emoji,
//! characters that look alike, code, 10 kB of anything; data from deep nesting and numbers beyond
//! all types. Left out: names that the vocabulary itself refuses, which its own tests are about.

use highwater::{
    Append, AppendError, CommandId, CorrelationId, EventId, EventStore, ExpectedVersion, Metadata,
    NewEvent, Payload, RecordedEvent, StreamId, StreamVersion, Tag,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::LogFactory;

/// Appends `cases` random envelopes to one log, each to a stream of its own, and reads them back.
///
/// # Panics
/// With the smallest envelope found that comes back as another one.
pub fn check<F: LogFactory + 'static>(cases: u32, fresh: impl AsyncFn() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (log, store) = runtime.block_on(async {
        let log = fresh().await;
        let store = log.open().await;
        (log, store)
    });
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&(stream_names(), events()), |(name, events)| {
        runtime.block_on(round_trip(&*store, &name, &events))
    });
    runtime.block_on(store.close());
    drop(log);
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}

async fn round_trip(
    store: &dyn EventStore,
    name: &StreamId,
    events: &[NewEvent],
) -> Result<(), TestCaseError> {
    let before = all_of(store, name).await?;
    let append = Append::to(name.clone(), ExpectedVersion::Any, events.to_vec());
    let accepted = match store.append(append).await {
        Ok(_) => events,
        // Some databases hold no NUL. That is an answer, if it is the answer for good.
        Err(refusal @ (AppendError::Refused { .. } | AppendError::Invalid(_))) => {
            prop_assert!(!refusal.is_retryable());
            let has_nul = events.iter().any(|event| {
                let headers = event.metadata.headers.iter();
                let texts = headers.flat_map(|(name, value)| [name.as_str(), value.as_str()]);
                let texts = texts.chain(event.metadata.actor.as_deref());
                texts.chain([event.event_type.as_str()]).any(|text| text.contains('\0'))
            });
            prop_assert!(has_nul, "refused without a cause: {:?}", refusal);
            &[]
        }
        Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
    };
    let after = all_of(store, name).await?;
    prop_assert_eq!(after.len(), before.len() + accepted.len());
    for (recorded, given) in after[before.len()..].iter().zip(accepted) {
        prop_assert_eq!(&recorded.stream, name);
        prop_assert_eq!(recorded.id, given.id);
        prop_assert_eq!(&recorded.event_type, &given.event_type);
        prop_assert_eq!(recorded.schema_version, given.schema_version);
        prop_assert_eq!(recorded.data.as_json(), given.data.as_json(), "byte for byte");
        prop_assert_eq!(&recorded.tags, &given.tags);
        prop_assert_eq!(&recorded.metadata, &given.metadata);
    }
    let ids: Vec<EventId> = accepted.iter().map(|event| event.id).collect();
    let found = store.find(&ids).await.map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&found[..], &after[before.len()..]);
    Ok(())
}

async fn all_of(
    store: &dyn EventStore,
    name: &StreamId,
) -> Result<Vec<RecordedEvent>, TestCaseError> {
    let read = store.read_stream(name, StreamVersion::EMPTY, usize::MAX).await;
    read.map_err(|error| TestCaseError::fail(format!("{error:?}")))
}

/// Pieces that hostile texts are made of.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "'",
        "\"",
        "\\",
        "$1",
        "$$",
        "{a,b}",
        "NULL",
        "{",
        "}",
        ",",
        "%",
        "_",
        ";--",
        "\u{1f980}",
        "e\u{301}",
        "\u{200b}",
        "\u{202e}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{2028}",
        "\u{feff}",
        "\\u0000",
        "\\x00",
        " ",
        "  ",
        "ß",
        "::",
        "@",
        "a",
        "Z",
        "0",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "\\PC{1,6}"]
}

fn text(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(pieces(), 1..most).prop_map(|pieces| pieces.concat())
}

/// Texts that only the store can refuse: metadata and types take any character.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => text(8),
        1 => text(4).prop_map(|text| format!("{text}\0")),
        1 => text(4).prop_map(|text| text.chars().cycle().take(10_000).collect()),
        1 => Just("\r\n\t\u{7f}\u{1}".to_owned()),
    ]
}

fn stream_names() -> impl Strategy<Value = StreamId> {
    text(12).prop_filter_map("a key that is none", |key| StreamId::new("hostile", key).ok())
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    let tag = text(8).prop_filter_map("a tag that is none", |text| Tag::new("about", text).ok());
    prop::collection::vec(tag, 0..4)
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let headers = prop::collection::btree_map(any_text(), any_text(), 0..3);
    let actor = prop::option::of(any_text());
    (actor, headers, any::<u128>(), any::<bool>()).prop_map(|(actor, headers, id, has_ids)| {
        let id = uuid::Uuid::from_u128(id);
        let mut metadata = Metadata::default();
        if let Some(actor) = actor {
            metadata = metadata.with_actor(actor);
        }
        for (name, value) in headers {
            metadata = metadata.with_header(name, value);
        }
        if has_ids {
            metadata = metadata
                .with_command(CommandId::from_uuid(id))
                .with_correlation(CorrelationId::from_uuid(id))
                .with_causation(EventId::from_uuid(id));
        }
        metadata
    })
}

/// JSON as somebody may have written it, not as `serde_json` would.
fn json() -> impl Strategy<Value = String> {
    let quoted =
        any_text().prop_map(|text| serde_json::to_string(&text).expect("a text is JSON")).boxed();
    let leaf = prop_oneof![
        4 => quoted.clone(),
        2 => prop::sample::select(vec![
            "null", "true", "-0", "0.10", "1E400", "-1e-400", "123456789012345678901234567890",
            "\"\\u0000\"", "\"\\ud83e\\udd80\"", "\"\\/\"", "{ }", "[\n]", "\"\\u00e9\"",
        ])
        .prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        // As deep as the parser goes.
        1 => (1..120_usize).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|all| format!("[{}]", all.join(" ,"))),
            // A key may come twice, and in any order.
            prop::collection::vec((quoted.clone(), inner), 0..3).prop_map(|all| {
                let all = all.into_iter().map(|(key, value)| format!("{key} :{value}"));
                format!("{{{}}}", all.collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

fn events() -> impl Strategy<Value = Vec<NewEvent>> {
    let event = (any_text(), any::<u32>(), json(), tags(), metadata()).prop_filter_map(
        "JSON that nests too deep",
        |(event_type, schema_version, json, tags, metadata)| {
            let data = Payload::from_json(json).ok()?;
            let event_type = event_type.as_str().into();
            Some(NewEvent { id: EventId::new(), event_type, schema_version, data, tags, metadata })
        },
    );
    prop::collection::vec(event, 1..4)
}
