//! The property behind the suite: a store answers any sequence of appends as the memory store does.
//!
//! Steps are drawn from few streams, few tags and few ids, so that conflicts, failed conditions,
//! repetitions and taken ids all happen. Positions may differ by gaps, so they are compared by rank.

use std::sync::Arc;

use highwater::{
    Append, AppendCondition, AppendError, Appended, EventId, EventStore, ExpectedVersion,
    GlobalPosition, MemoryStore, NewEvent, Query, QueryItem, RecordedEvent, Selection,
    StreamVersion, Tag,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::LogFactory;
use super::given::{category, event, everything, stream, tag};
use super::oracle::{Tail, Violation, check_versions};

/// One step of a sequence.
#[derive(Clone, Debug)]
pub enum Step {
    /// Appends something new.
    Append {
        /// Per stream: which one, what is expected of it, and the kinds of the events.
        parts: Vec<(usize, Expectation, Vec<usize>)>,
        /// Kind of the events asked about, and how many of the events so far are known.
        condition: Option<(usize, usize)>,
    },
    /// Appends what an earlier step appended, whatever came of it.
    Repeat(usize),
    /// Appends something new with the id of an event of an earlier step.
    Steal(usize),
}

/// An expectation, relative to where the stream stands.
#[derive(Clone, Copy, Debug)]
pub enum Expectation {
    /// Any version.
    Any,
    /// No stream.
    NoStream,
    /// An existing stream.
    StreamExists,
    /// The version where the stream stands, or next to it.
    Near(i64),
}

/// Runs `cases` random sequences, each on a log of its own, and compares every answer and the log
/// that is left with those of the memory store.
///
/// # Panics
/// With the shortest sequence found that is answered differently.
pub fn check<F: LogFactory + 'static>(cases: u32, fresh: impl AsyncFn() -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            let log = fresh().await;
            compare(log.open().await, &steps).await
        })
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..25)
}

/// Any step.
pub fn step() -> impl Strategy<Value = Step> {
    let expectation = prop_oneof![
        3 => Just(Expectation::Any),
        1 => Just(Expectation::NoStream),
        1 => Just(Expectation::StreamExists),
        4 => (-1..=1_i64).prop_map(Expectation::Near),
    ];
    let part = (0..3_usize, expectation, prop::collection::vec(0..KINDS, 1..4));
    let parts = prop::collection::vec(part, 1..4);
    let append = (parts, prop::option::weighted(0.4, (0..KINDS, 0..20_usize)))
        .prop_map(|(parts, condition)| Step::Append { parts, condition });
    prop_oneof![
        8 => append,
        2 => (0..20_usize).prop_map(Step::Repeat),
        1 => (0..20_usize).prop_map(Step::Steal),
    ]
}

/// How many kinds of events there are.
const KINDS: usize = 5;

fn of_kind(kind: usize) -> NewEvent {
    match kind {
        0 => event("plain"),
        1 => event("plain").with_tag(k(1)),
        2 => event("other").with_tag(k(1)).with_tag(k(2)),
        3 => event("other").with_tag(k(2)),
        _ => event("rare"),
    }
}

fn query_for(kind: usize) -> Query {
    match kind {
        0 => Query::of(QueryItem::types(["plain", "rare"])),
        1 => Query::of(QueryItem::tagged([k(1)])),
        2 => Query::of(QueryItem::tagged([k(2), k(1)])),
        3 => Query::of(QueryItem::types(["other"]).and_tag(k(2))).or(QueryItem::types(["rare"])),
        _ => Query::of(QueryItem::types(["rare"])),
    }
}

fn k(number: usize) -> Tag {
    tag(&format!("k:{number}"))
}

async fn compare(store: Arc<dyn EventStore>, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut comparison = Comparison::of(store);
    for step in steps {
        comparison.take(step).await?;
    }
    comparison.end().await
}

/// A store beside its model.
pub struct Comparison {
    store: Arc<dyn EventStore>,
    model: MemoryStore,
    /// What was appended so far, whatever came of it.
    pub made: Vec<Append>,
    /// Reads along.
    tail: Tail,
}

impl Comparison {
    /// Compares an empty store with an empty model.
    #[must_use]
    pub fn of(store: Arc<dyn EventStore>) -> Self {
        let tail = Tail::new("between the steps", Selection::All);
        Self { store, model: MemoryStore::new(), made: Vec::new(), tail }
    }

    /// Takes a step in both.
    ///
    /// # Errors
    /// If they answer differently.
    pub async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let append = build(step, &self.made, &everything(&self.model, &Selection::All).await);
        self.append(append).await
    }

    /// Appends to both; the position of its condition is a number of events.
    ///
    /// # Errors
    /// If they answer differently.
    pub async fn append(&mut self, append: Append) -> Result<(), TestCaseError> {
        let (model, store) = (&self.model as &dyn EventStore, &*self.store);
        let of_model = everything(model, &Selection::All).await;
        let of_store = everything(store, &Selection::All).await;
        let expected = model.append(at_position(&append, &of_model)).await;
        let actual = store.append(at_position(&append, &of_store)).await;
        let expected = outcome(expected, &everything(model, &Selection::All).await);
        let actual = outcome(actual, &everything(store, &Selection::All).await);
        prop_assert_eq!(actual, expected, "append {}: {:?}", self.made.len(), append);
        self.made.push(append);
        // Few at a time, so that it is behind at some steps and at the head at others.
        let page = self.store.read_all(&self.tail.selection, self.tail.read_to, 3).await;
        self.tail.take(&page.map_err(|error| failed(&error))?).map_err(violated)
    }

    /// Compares the logs that are left.
    ///
    /// # Errors
    /// If they differ.
    pub async fn end(&self) -> Result<(), TestCaseError> {
        let log = everything(&*self.store, &Selection::All).await;
        self.tail.check(&log).map_err(violated)?;
        check_versions(&log).map_err(violated)?;
        compare_logs(&*self.store, &self.model).await
    }
}

/// The append of a step; its condition's position is still a number of events.
fn build(step: &Step, made: &[Append], log: &[RecordedEvent]) -> Append {
    match step {
        Step::Append { parts, condition } => {
            let mut streams: Vec<usize> = Vec::new();
            let mut append: Option<Append> = None;
            for (key, expectation, kinds) in parts {
                if streams.contains(key) {
                    continue;
                }
                streams.push(*key);
                let id = stream(&key.to_string());
                let expected =
                    expectation.of(log.iter().filter(|event| event.stream == id).count());
                let events = kinds.iter().map(|kind| of_kind(*kind)).collect();
                append = Some(match append {
                    None => Append::to(id, expected, events),
                    Some(append) => append.and_to(id, expected, events),
                });
            }
            let append = append.expect("a step has a part");
            match condition {
                Some((kind, known)) => append.with_condition(AppendCondition::new(
                    query_for(*kind),
                    GlobalPosition::new(*known as u64),
                )),
                None => append,
            }
        }
        Step::Repeat(of) => match made.get(of % made.len().max(1)) {
            Some(earlier) => earlier.clone(),
            None => Append::to(stream("0"), ExpectedVersion::Any, vec![of_kind(0)]),
        },
        Step::Steal(of) => {
            let id = made.get(of % made.len().max(1)).and_then(|earlier| earlier.events().last());
            let id = id.map_or_else(EventId::new, |event| event.id);
            let events = vec![of_kind(1), of_kind(0).with_id(id)];
            Append::to(stream("thief"), ExpectedVersion::Any, events)
        }
    }
}

impl Expectation {
    fn of(self, length: usize) -> ExpectedVersion {
        match self {
            Self::Any => ExpectedVersion::Any,
            Self::NoStream => ExpectedVersion::NoStream,
            Self::StreamExists => ExpectedVersion::StreamExists,
            Self::Near(off) => {
                let version = (length as u64).saturating_add_signed(off);
                ExpectedVersion::Exact(StreamVersion::new(version))
            }
        }
    }
}

/// Turns the number of events that a condition knows into the position of the last of them.
fn at_position(append: &Append, log: &[RecordedEvent]) -> Append {
    let Some(condition) = append.condition() else {
        return append.clone();
    };
    let known = (condition.after.get() as usize).min(log.len());
    let after = known.checked_sub(1).map_or(GlobalPosition::START, |last| log[last].position);
    append.clone().with_condition(AppendCondition::new(condition.query.clone(), after))
}

/// What an append answered, in words that don't depend on a store's numbers.
fn outcome(answer: Result<Appended, AppendError>, log: &[RecordedEvent]) -> String {
    match answer {
        Ok(Appended { position, heads, was_repeated, .. }) => {
            let rank = log.iter().position(|event| event.position == position);
            format!(
                "appended up to the event of rank {rank:?}, {heads:?}, repeated: {was_repeated}"
            )
        }
        // What it names is part of the promise.
        Err(refusal) => format!("{refusal:?}"),
    }
}

fn failed(error: &dyn std::error::Error) -> TestCaseError {
    TestCaseError::fail(format!("{error:?}"))
}

fn violated(violation: Violation) -> TestCaseError {
    failed(&violation)
}

async fn compare_logs(store: &dyn EventStore, model: &MemoryStore) -> Result<(), TestCaseError> {
    let queries = (0..KINDS).map(|kind| Selection::Query(query_for(kind)));
    let selections =
        [Selection::All, Selection::Category(category("test")), Selection::Stream(stream("1"))];
    for selection in selections.into_iter().chain(queries) {
        let actual = without_place(everything(store, &selection).await);
        let expected = without_place(everything(model, &selection).await);
        prop_assert_eq!(actual, expected, "{:?}", selection);
    }
    Ok(())
}

/// Events without what may differ from store to store: the number of their position, and the time.
fn without_place(events: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
    events
        .into_iter()
        .map(|event| RecordedEvent {
            position: GlobalPosition::START,
            recorded_at: jiff::Timestamp::UNIX_EPOCH,
            ..event
        })
        .collect()
}
