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

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::{Query, QueryItem};

/// How many gates there are: enough that accidents are rare.
const GATES: usize = 256;

/// The turnstiles of all decisions against one log. Cheap to clone; clones share them.
#[derive(Clone)]
pub(super) struct Turnstiles(Arc<[Arc<Mutex<()>>]>);

/// The gates that one query goes through.
pub(super) struct Gates(Vec<Arc<Mutex<()>>>);

/// The right to go first, given back when it is dropped.
pub(super) type Passage = Vec<OwnedMutexGuard<()>>;

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
        self.0.iter().any(|gate| gate.try_lock().is_err())
    }

    /// Waits for all gates.
    ///
    /// # Cancel safety
    /// A dropped call gives back what it has taken, and its places in the lines.
    pub(super) async fn pass(&self) -> Passage {
        let mut passage = Vec::with_capacity(self.0.len());
        for gate in &self.0 {
            passage.push(gate.clone().lock_owned().await);
        }
        passage
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
    use crate::Tag;

    fn tagged(value: &str) -> Query {
        Query::of(QueryItem::tagged([Tag::new("course", value).expect("a tag")]))
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
        assert!(!second.await.expect("no panic").is_empty());
        assert!(!turnstiles.gates_of(&mine).are_crowded());
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
