//! Where decisions of one process on the same part of the log queue, once they got in each other's way.
//!
//! Nothing here makes a decision right: the condition of its append does. Turnstiles only save tries:
//! of eight decisions at once that ask about the same tag, one is appended and seven are made anew.
//!
//! # Who waits for whom
//! 1. A decision that nobody stands in the way of takes no gate, and decisions that have nothing in
//!    common run side by side.
//! 2. One that was overtaken takes its gates and keeps them until it ends. Who comes meanwhile and
//!    needs one of them waits for it, in order of arrival, before it reads.
//! 3. Gates are taken in the order of their numbers, so decisions can't wait in a circle.
//! 4. Two that share a gate by accident wait for each other needlessly, never wrongly.
//! 5. Who stands at the first of its gates finds there what the last ones before it have appended
//!    (`handed_on.rs`).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::handed_on::{HandedOn, Single};
use super::reading::Reading;
use crate::{DecisionModels, LoadBoundaryError, Query, QueryItem};

/// How many gates there are: enough that accidents are rare.
const GATES: usize = 256;

/// The turnstiles of all decisions against one log. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Turnstiles(Arc<[Arc<Gate>]>);

#[derive(Default)]
struct Gate {
    turn: Arc<Mutex<()>>,
    line: std::sync::Mutex<Line>,
}

/// Who stands at a gate, and what they hand on.
#[derive(Default)]
struct Line {
    length: usize,
    handed_on: HandedOn,
}

impl Gate {
    /// The line's methods change it in steps that can't fail half-way.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gates that one query goes through.
pub(super) struct Gates(Vec<Arc<Gate>>);

/// The right to go first, given back when it is dropped.
pub(super) struct Passage(Vec<(OwnedMutexGuard<()>, InLine)>);

impl Default for Turnstiles {
    fn default() -> Self {
        Self((0..GATES).map(|_| Arc::default()).collect())
    }
}

impl Turnstiles {
    pub(super) fn gates_of(&self, query: &Query) -> Gates {
        let mut numbers: Vec<_> = query.items().iter().flat_map(numbers_of).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Gates(numbers.into_iter().map(|number| self.0[number].clone()).collect())
    }
}

impl Gates {
    /// True if somebody holds a gate of this query's.
    pub(super) fn are_crowded(&self) -> bool {
        self.0.iter().any(|gate| gate.turn.try_lock().is_err())
    }

    /// Waits for all gates.
    ///
    /// # Cancel safety
    /// A dropped call gives back what it has taken, and its places in the lines.
    pub(super) async fn pass(&self) -> Passage {
        let mut passage = Vec::with_capacity(self.0.len());
        for gate in &self.0 {
            let in_line = InLine::at(gate);
            passage.push((gate.turn.clone().lock_owned().await, in_line));
        }
        Passage(passage)
    }
}

impl Passage {
    /// Takes in what others who asked the same have handed on, if that is all that there is since;
    /// says whether it was.
    pub(super) fn take_over<M: DecisionModels>(
        &self,
        reading: &mut Reading<M>,
    ) -> Result<bool, LoadBoundaryError> {
        // Not under the line's lock: what takes them in is the user's code.
        let news = self.0.first().and_then(|(_, in_line)| {
            let mut line = in_line.0.line();
            reading.news_in(&mut line.handed_on)
        });
        match news {
            Some(news) => reading.take_in(&news).map(|()| true),
            None => Ok(false),
        }
    }

    /// Hands on what was appended on a reading.
    pub(super) fn hand_on<M: DecisionModels>(&self, reading: &Reading<M>, append: Single) {
        if let Some((_, in_line)) = self.0.first() {
            in_line.0.line().handed_on.add(reading.store(), reading.query(), append);
        }
    }
}

/// A place in the line, waiting or in front, until it is dropped. The last one to leave takes along what
/// was handed on.
struct InLine(Arc<Gate>);

impl InLine {
    fn at(gate: &Arc<Gate>) -> Self {
        gate.line().length += 1;
        Self(gate.clone())
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        let mut line = self.0.line();
        line.length -= 1;
        if line.length == 0 {
            line.handed_on.clear();
        }
    }
}

/// One tag of an item that has some, as every match carries it; else its types; else one for all.
fn numbers_of(item: &QueryItem) -> Vec<usize> {
    match (item.tags().first(), item.event_types()) {
        (Some(tag), _) => vec![number_of(tag.as_str())],
        (None, types) => types.iter().map(|name| number_of(name.as_str())).collect(),
    }
}

fn number_of(name: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // Less than GATES.
    (hasher.finish() % GATES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent, RecordedEvent,
        StreamId, StreamVersion, Tag,
    };

    fn tagged(value: &str) -> Query {
        Query::of(QueryItem::tagged([Tag::new("course", value).expect("a tag")]))
    }

    async fn an_event() -> (Arc<dyn EventStore>, RecordedEvent) {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let stream = StreamId::new("test", "1").expect("a key");
        let event = NewEvent::new("tested", &1).expect("a number is JSON");
        let append = Append::to(stream.clone(), ExpectedVersion::Any, vec![event]);
        store.append(append).await.expect("it is appended");
        let mut read =
            store.read_stream(&stream, StreamVersion::EMPTY, 1).await.expect("it is read");
        (store, read.remove(0))
    }

    #[tokio::test]
    async fn only_who_asks_about_the_same_waits() {
        let turnstiles = Turnstiles::default();
        let (mine, same, other) = (tagged("1"), tagged("1"), tagged("2"));
        let passage = turnstiles.gates_of(&mine).pass().await;
        let same = turnstiles.gates_of(&same);
        assert!(same.are_crowded());
        assert!(!turnstiles.gates_of(&other).are_crowded());
        let second = tokio::spawn(async move { same.pass().await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(passage);
        assert_eq!(second.await.expect("no panic").0.len(), 1);
        assert!(!turnstiles.gates_of(&mine).are_crowded());
    }

    /// However they leave: at their turn, or dropped while they wait at the first gate or at the last.
    #[tokio::test]
    async fn the_last_to_leave_a_line_takes_along_what_was_handed_on() {
        let turnstiles = Turnstiles::default();
        let gates = |value: &str| turnstiles.gates_of(&tagged(value));
        let (one, both) = (tagged("1"), tagged("1").or(tagged("2").items()[0].clone()));
        let of_line = |value: &str| {
            let gate = gates(value).0[0].clone();
            let line = gate.line();
            (line.length, line.handed_on.is_empty())
        };
        let (store, event) = an_event().await;
        for (asked, held) in [(&one, "1"), (&both, "1"), (&both, "2")] {
            let holder = gates(held).pass().await;
            let append = Single { after: GlobalPosition::START, event: event.clone() };
            gates(held).0[0].line().handed_on.add(&store, &tagged(held), append);
            let gates_of_waiter = turnstiles.gates_of(asked);
            let waiter = tokio::spawn(async move { gates_of_waiter.pass().await });
            tokio::task::yield_now().await;
            assert_eq!(of_line(held), (2, false));
            waiter.abort();
            assert!(waiter.await.is_err());
            assert_eq!(of_line(held), (1, false));
            drop(holder);
            assert_eq!((of_line("1"), of_line("2")), ((0, true), (0, true)));
        }
    }

    #[tokio::test]
    async fn who_shares_several_gates_in_any_order_is_never_stuck() {
        let turnstiles = Turnstiles::default();
        let decisions = (0..64_u32).map(|number| {
            let turnstiles = turnstiles.clone();
            let items = [number % 3, number % 5, number % 7].map(|value| value.to_string());
            tokio::spawn(async move {
                let query = items.iter().fold(Query::default(), |query, value| {
                    query.or(tagged(value).items()[0].clone())
                });
                for _ in 0..20 {
                    let _passage = turnstiles.gates_of(&query).pass().await;
                    tokio::task::yield_now().await;
                }
            })
        });
        for decision in decisions.collect::<Vec<_>>() {
            decision.await.expect("no panic");
        }
    }
}
