//! Boundaries against the memory store; what every store must do is in the conformance suite.

mod crowd;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    Append, CommandId, DecodeError, Decoded, EncodeError, Event, EventDescriptor, EventStore,
    ExpectedVersion, GlobalPosition, InvalidTag, MemoryStore, Metadata, NewEvent, Payload, Query,
    RecordedEvent, Selection, StreamId, Tag, ensure, event_query,
};

/// A family of three types whose events differ in their tags. Written by hand: the core doesn't
/// depend on its derives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mark {
    kind: usize,
    tags: Vec<String>,
}

const KINDS: [&str; 3] = ["mark.red", "mark.green", "mark.blue"];

impl Event for Mark {
    const TYPES: &'static [EventDescriptor] = &[
        EventDescriptor { name: KINDS[0], oldest: 1, version: 1 },
        EventDescriptor { name: KINDS[1], oldest: 1, version: 1 },
        EventDescriptor { name: KINDS[2], oldest: 1, version: 1 },
    ];

    fn event_type(&self) -> &'static str {
        KINDS[self.kind]
    }

    fn schema_version(&self) -> u32 {
        1
    }

    fn tags(&self) -> Result<Vec<Tag>, EncodeError> {
        let event_type = || self.event_type().into();
        self.tags
            .iter()
            .map(|tag| {
                Tag::parse(tag)
                    .map_err(|source| EncodeError::Tag { event_type: event_type(), source })
            })
            .collect()
    }

    fn encode(&self) -> Result<Payload, EncodeError> {
        Payload::from_value(self)
            .map_err(|source| EncodeError::Data { event_type: self.event_type().into(), source })
    }

    fn decode(
        event_type: &str,
        schema_version: u32,
        data: &Payload,
    ) -> Result<Decoded<Self>, DecodeError> {
        data.to_value().map(Decoded::one).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            schema_version,
            source,
        })
    }
}

fn mark(kind: usize, tags: &[&str]) -> Mark {
    Mark { kind, tags: tags.iter().map(|&tag| tag.to_owned()).collect() }
}

/// Remembers where the events stand that it was given.
#[derive(Clone, Debug)]
struct Trace {
    query: EventQuery<Mark>,
    seen: Vec<GlobalPosition>,
    recorded: Vec<RecordedEvent>,
}

impl Trace {
    fn of(query: EventQuery<Mark>) -> Self {
        Self { query, seen: Vec::new(), recorded: Vec::new() }
    }

    fn tagged(name: &str, value: &str) -> Self {
        Self::of(EventQuery::all().tagged(name, value).unwrap())
    }
}

impl DecisionModel for Trace {
    type Event = Mark;

    fn query(&self) -> Result<EventQuery<Mark>, InvalidTag> {
        Ok(self.query.clone())
    }

    fn evolve(&mut self, event: &Mark, recorded: &RecordedEvent) {
        assert_eq!(event.event_type(), recorded.event_type.as_str());
        self.seen.push(recorded.position);
        self.recorded.push(recorded.clone());
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("there are enough")]
struct Enough;

fn store() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

async fn put(store: &MemoryStore, event: &impl BoundaryEvent) -> GlobalPosition {
    let (stream, event) = event.to_filed().unwrap();
    let append = Append::to(stream, ExpectedVersion::Any, vec![event]);
    store.append(append).await.unwrap().position
}

async fn all(store: &MemoryStore) -> Vec<RecordedEvent> {
    store.read_all(&Selection::All, GlobalPosition::START, usize::MAX).await.unwrap().events
}

/// At most `most` events with the tag `k:1`.
fn one_more(most: usize) -> impl Fn(&Trace) -> Result<Vec<Mark>, Enough> + Send + Sync {
    move |trace| {
        ensure!(trace.seen.len() < most, Enough);
        Ok(vec![mark(0, &["k:1"])])
    }
}

fn under(command: CommandId) -> Metadata {
    Metadata::default().with_command(command)
}

#[tokio::test]
async fn a_boundary_reads_over_several_pages_to_the_end_of_the_log() {
    let store = store();
    let stream = StreamId::new("k", "1").unwrap();
    for _ in 0..5 {
        let batch = (0..500).map(|_| NewEvent::from_event(&mark(0, &["k:1"])).unwrap()).collect();
        let append = Append::to(stream.clone(), ExpectedVersion::Any, batch);
        store.append(append).await.unwrap();
    }
    let head = put(&store, &mark(0, &["k:2"])).await;
    let boundary = Boundary::load(store, Trace::tagged("k", "1")).await.unwrap();
    assert_eq!(boundary.state().seen.len(), 2_500);
    // Past the last match: what was read and doesn't match isn't asked about again.
    assert_eq!(boundary.read_to(), head);
}

#[tokio::test]
async fn an_event_goes_behind_the_stream_of_its_first_tag_or_the_one_it_is_given() {
    let store = store();
    let boundaries = Boundaries::new(store.clone());
    let given = StreamId::new("log", "odds").unwrap();
    let decide = |_: &Trace| -> Result<_, Infallible> {
        Ok(vec![mark(0, &["k:a-1", "j:2"]), mark(1, &["j:2", "k:a-1"]), mark(2, &["k:a-1"])])
    };
    let receipt = boundaries.decide(Trace::tagged("k", "a-1"), decide).await.unwrap();
    let heads: Vec<_> =
        receipt.heads.iter().map(|head| (head.stream.as_str(), head.version.get())).collect();
    assert_eq!(heads, [("k-a-1", 2), ("j-2", 1)]);

    let untyped = NewEvent::new("other", &()).unwrap();
    let decide =
        |_: &Trace| -> Result<_, Infallible> { Ok(vec![(given.clone(), untyped.clone())]) };
    boundaries.decide(Trace::tagged("k", "1"), decide).await.unwrap();
    let boundary = boundaries.load(Trace::tagged("k", "1")).await.unwrap();
    boundary.append([(given.clone(), mark(0, &[]))]).await.unwrap();
    assert_eq!(all(&store).await.iter().filter(|event| event.stream == given).count(), 2);

    let decide = |_: &Trace| -> Result<_, Infallible> { Ok(vec![mark(0, &[])]) };
    let homeless = boundaries.decide(Trace::tagged("k", "1"), decide).await;
    assert!(matches!(homeless, Err(BoundaryError::Unfiled(UnfiledEvent::NoTag { .. }))));
}

#[tokio::test]
async fn a_conflict_is_decided_again_on_the_new_state() {
    let store = store();
    let tries = AtomicU32::new(0);
    let rival = store.clone();
    let decide = |trace: &Trace| {
        if tries.fetch_add(1, Ordering::SeqCst) == 0 {
            put(&rival, &mark(0, &["k:1"]))
                .now_or_never()
                .expect("a store in memory answers at once");
        }
        one_more(2)(trace)
    };
    let receipt = Boundaries::new(store.clone()).decide(Trace::tagged("k", "1"), decide).await;
    assert!(!receipt.unwrap().was_repeated);
    assert_eq!((tries.load(Ordering::SeqCst), all(&store).await.len()), (2, 2));
}

/// Answers the first append as one that repeats an earlier try, as a pipeline does whose first answer
/// was lost.
struct LosesTheFirstAnswer {
    inner: Arc<MemoryStore>,
    appends: AtomicU32,
}

#[async_trait::async_trait]
impl crate::StoreLayer for LosesTheFirstAnswer {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    async fn append(&self, append: Append) -> Result<crate::Appended, crate::AppendError> {
        let appended = self.inner.append(append).await?;
        let was_repeated = self.appends.fetch_add(1, Ordering::SeqCst) == 0;
        Ok(crate::Appended { was_repeated, ..appended })
    }
}

/// Its caller gave it no id, and still it must not be refused for what it did itself.
#[tokio::test]
async fn a_decision_whose_first_answer_was_lost_is_recognised_as_carried_out() {
    let store = Arc::new(LosesTheFirstAnswer { inner: store(), appends: AtomicU32::new(0) });
    let boundaries = Boundaries::new(store.clone());
    let receipt = boundaries.decide(Trace::tagged("k", "1"), one_more(1)).await.unwrap();
    let log = all(&store.inner).await;
    assert_eq!((receipt.position, receipt.was_repeated, log.len()), (log[0].position, true, 1));
}

#[tokio::test]
async fn a_boundary_that_is_kept_reads_only_what_is_new_and_decides_on_all() {
    let store = store();
    let boundaries = Boundaries::new(store.clone());
    let mut kept = boundaries.load(Trace::tagged("k", "1")).await.unwrap();
    for round in 1..=3 {
        let receipt = boundaries.decide_on(&mut kept, Metadata::default(), one_more(99)).await;
        assert!(!receipt.unwrap().was_repeated);
        put(&store, &mark(0, &["k:1"])).await;
        assert_eq!(all(&store).await.len(), 2 * round);
    }
    // It saw its own events and the others', once each; the last two are still to come.
    assert_eq!(kept.state().seen.len(), 4);
}

/// A long past is read once, not once a try: and what a try has seen isn't taken in twice.
#[tokio::test]
async fn a_further_try_goes_on_from_where_the_last_one_had_read_to() {
    let store = store();
    for _ in 0..3 {
        put(&store, &mark(0, &["k:1"])).await;
    }
    let rival = store.clone();
    let seen = std::sync::Mutex::new(Vec::new());
    let decide = |trace: &Trace| -> Result<_, Infallible> {
        let mut seen = seen.lock().unwrap();
        seen.push(trace.seen.clone());
        if seen.len() < 3 {
            put(&rival, &mark(0, &["k:1"]))
                .now_or_never()
                .expect("a store in memory answers at once");
        }
        Ok(vec![mark(1, &["k:1"])])
    };
    Boundaries::new(store).decide(Trace::tagged("k", "1"), decide).await.unwrap();
    let seen = seen.into_inner().unwrap();
    let up_to = |last| (1..=last).map(GlobalPosition::new).collect::<Vec<_>>();
    assert_eq!(seen, [up_to(3), up_to(4), up_to(5)]);
}

#[tokio::test(start_paused = true)]
async fn a_boundary_that_is_never_quiet_ends_as_contended() {
    let store = store();
    let rival = store.clone();
    let decide = |_: &Trace| -> Result<_, Infallible> {
        put(&rival, &mark(0, &["k:1"])).now_or_never().expect("a store in memory answers at once");
        Ok(vec![mark(1, &["k:1"])])
    };
    let outcome = Boundaries::new(store.clone()).decide(Trace::tagged("k", "1"), decide).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, BoundaryError::Contended { attempts: 10, .. }), "{error:?}");
    assert!(error.is_retryable());
    assert!(all(&store).await.iter().all(|event| event.event_type.as_str() == KINDS[0]));
}

#[tokio::test]
async fn a_repeated_command_returns_the_first_outcome_though_it_would_now_be_rejected() {
    let store = store();
    let boundaries = Boundaries::new(store.clone());
    let command = CommandId::new();
    let blank = || Trace::tagged("k", "1");
    let first = boundaries.decide_with(under(command), blank(), one_more(1)).await.unwrap();
    put(&store, &mark(0, &["k:2"])).await;
    let again = boundaries.decide_with(under(command), blank(), one_more(1)).await.unwrap();
    assert!(!first.was_repeated && again.was_repeated);
    assert_eq!((again.position, &again.heads), (first.position, &first.heads));
    let other = boundaries.decide(blank(), one_more(1)).await.unwrap_err();
    assert_eq!(other.rejection(), Some(&Enough));
    assert_eq!(all(&store).await.len(), 2);
}

#[tokio::test]
async fn a_repetition_that_decides_otherwise_still_returns_the_whole_first_outcome() {
    let store = store();
    let boundaries = Boundaries::new(store.clone());
    let command = CommandId::new();
    let emit = |count: usize, tag: &'static str| {
        move |_: &Trace| -> Result<_, Infallible> { Ok(vec![mark(0, &[tag]); count]) }
    };
    let blank = || Trace::tagged("k", "1");
    let first = boundaries.decide_with(under(command), blank(), emit(130, "k:1")).await.unwrap();
    for (count, tag) in [(1, "k:1"), (200, "k:1"), (130, "k:2"), (0, "k:1")] {
        let again =
            boundaries.decide_with(under(command), blank(), emit(count, tag)).await.unwrap();
        assert!(again.was_repeated);
        assert_eq!((again.position, &again.heads), (first.position, &first.heads));
    }
    assert_eq!(all(&store).await.len(), 130);
}

#[tokio::test]
async fn a_decision_without_events_appends_nothing_and_tells_how_far_it_read() {
    let store = store();
    let head = put(&store, &mark(0, &["k:1"])).await;
    let decide = |_: &Trace| -> Result<Vec<Mark>, Infallible> { Ok(vec![]) };
    let receipt =
        Boundaries::new(store.clone()).decide(Trace::tagged("k", "1"), decide).await.unwrap();
    assert_eq!((receipt.position, receipt.heads.len()), (head, 0));
    assert_eq!(all(&store).await.len(), 1);
}

#[tokio::test]
async fn metadata_goes_to_the_events_that_have_none_and_the_command_to_all() {
    let store = store();
    let stream = StreamId::new("k", "1").unwrap();
    let own = NewEvent::new("other", &()).unwrap();
    let own = own.with_metadata(Metadata::default().with_actor("its own"));
    let plain = NewEvent::new("other", &()).unwrap();
    let decide = |_: &Trace| -> Result<_, Infallible> {
        Ok(vec![(stream.clone(), own.clone()), (stream.clone(), plain.clone())])
    };
    let metadata = Metadata::default().with_actor("of the call");
    let boundaries = Boundaries::new(store.clone());
    let receipt = boundaries.decide_with(metadata, Trace::tagged("k", "1"), decide).await.unwrap();
    let events = all(&store).await;
    let actors: Vec<_> =
        events.iter().map(|event| event.metadata.actor.clone().unwrap_or_default()).collect();
    assert_eq!(actors, ["its own", "of the call"]);
    assert!(events.iter().all(|event| event.metadata.command == Some(receipt.command)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_fails_the_load_and_is_named() {
    let store = store();
    let malformed = NewEvent::new(KINDS[0], &7).unwrap().with_tag(Tag::parse("k:1").unwrap());
    let position = put(&store, &(StreamId::new("k", "1").unwrap(), malformed)).await;
    let outcome = Boundary::load(store.clone(), Trace::tagged("k", "1")).await;
    let Err(LoadBoundaryError::Decode { position: at, .. }) = outcome else {
        panic!("it was loaded");
    };
    assert_eq!(at, position);
    // Who doesn't ask about it is not disturbed.
    assert!(Boundary::load(store, Trace::tagged("k", "2")).await.is_ok());
}

#[test]
fn a_query_of_a_family_without_events_asks_for_nothing() {
    #[derive(Debug)]
    enum Silent {}

    impl Event for Silent {
        const TYPES: &'static [EventDescriptor] = &[];

        fn event_type(&self) -> &'static str {
            match *self {}
        }

        fn schema_version(&self) -> u32 {
            match *self {}
        }

        fn encode(&self) -> Result<Payload, EncodeError> {
            match *self {}
        }

        fn decode(
            name: &str,
            schema_version: u32,
            _: &Payload,
        ) -> Result<Decoded<Self>, DecodeError> {
            let event_type = name.to_owned();
            Err(DecodeError::UnknownType { event_type, schema_version, family: "Silent" })
        }
    }

    let query: Query = EventQuery::<Silent>::all().tagged("k", "1").unwrap().into();
    assert_eq!(query, Query::default());
}

/// A query of one to three items over a few types and tags.
fn queries() -> impl Strategy<Value = EventQuery<Mark>> {
    let kinds = prop_oneof![
        Just(EventQuery::all()),
        Just(event_query!(Mark: "mark.red")),
        Just(event_query!(Mark: "mark.red", "mark.blue")),
        Just(event_query!(Mark: "mark.green")),
    ];
    let tags = prop::sample::subsequence(vec!["k:1", "k:2", "k:3"], 0..=2);
    let item = (kinds, tags).prop_map(|(query, tags)| {
        tags.iter().fold(query, |query, tag| query.with_tag(&Tag::parse(tag).unwrap()))
    });
    prop::collection::vec(item, 1..=3)
        .prop_map(|items| items.into_iter().reduce(EventQuery::or).unwrap())
}

fn logs() -> impl Strategy<Value = Vec<Mark>> {
    let tags = prop::sample::subsequence(vec!["k:1", "k:2", "k:3"], 0..=3);
    let event = (0..KINDS.len(), tags).prop_map(|(kind, tags)| mark(kind, &tags));
    prop::collection::vec(event, 0..40)
}

async fn seen_alone(store: &Arc<MemoryStore>, query: &EventQuery<Mark>) -> Vec<GlobalPosition> {
    let boundary = Boundary::load(store.clone(), Trace::of(query.clone())).await.unwrap();
    boundary.state().seen.clone()
}

proptest! {
    /// Each model of a tuple, however it is nested, ends up as it would alone and as the query says;
    /// the condition of the tuple is about what any of them asks for.
    #[test]
    fn composed_models_are_what_each_would_be_alone(
        log in logs(),
        queries in prop::collection::vec(queries(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let stream = StreamId::new("marks", "all").unwrap();
            for event in log {
                put(&store, &(stream.clone(), event)).await;
            }
            let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(|index| Trace::of(queries[index].clone()));
            let flat = (a.clone(), b.clone(), c.clone(), d.clone(), e.clone(), f.clone());
            let flat = Boundary::load(store.clone(), flat).await.unwrap();
            let nested = Boundary::load(store.clone(), ((a, (b, c)), (d, e, f))).await.unwrap();
            let (condition, read_to) = (flat.condition(), flat.read_to());
            prop_assert_eq!(&condition, &nested.condition());
            prop_assert_eq!(read_to, store.high_water_mark().await.unwrap());
            let (a, b, c, d, e, f) = flat.state();
            let in_flat = [a, b, c, d, e, f].map(|trace| &trace.seen);
            let ((a, (b, c)), (d, e, f)) = nested.state();
            let in_nested = [a, b, c, d, e, f].map(|trace| &trace.seen);
            let log = all(&store).await;
            for (index, query) in queries.iter().enumerate() {
                let alone = seen_alone(&store, query).await;
                prop_assert_eq!(&alone, in_flat[index]);
                prop_assert_eq!(&alone, in_nested[index]);
                let query = Query::from(query.clone());
                let matches = log.iter().filter(|event| query.matches(&event.event_type, &event.tags));
                let matches: Vec<_> = matches.map(|event| event.position).collect();
                prop_assert_eq!(&alone, &matches);
            }
            for event in &log {
                let is_seen = in_flat.iter().any(|seen| seen.contains(&event.position));
                prop_assert_eq!(condition.query.matches(&event.event_type, &event.tags), is_seen);
            }
            Ok(())
        })?;
    }
}
