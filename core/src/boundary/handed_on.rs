//! What those who stand in one line have appended, handed on so that the next one needn't read it.
//!
//! # Why a state that took it in is the one that the log makes
//! 1. An append on condition of a query that succeeded says: at its place in the order, nothing that
//!    matches stood behind the position that it names. So of the matches between that position and its
//!    own it has brought all, and here it has brought one event.
//! 2. Who has read the same store by the same query up to that position or further therefore knows
//!    everything up to the append's own place once it has taken in that event. Who hasn't reads.
//! 3. Others may have appended since. The condition of the next append finds out; and a decision to
//!    append nothing is made on what was read, never on what was handed on.
//! 4. What is handed on is what a read would show. A store says whether events come back from it as they
//!    were appended ([`EventStore::returns_what_was_appended`]); the place is the one that the store
//!    answered; and an event with personal data isn't handed on, since it comes back opened, or
//!    forgotten by then.
//! 5. It is kept for who waits: the last to leave the line takes everything along, and so does who comes
//!    with another question.
//!
//! A tenant's store is another store: a [`TenantHandle`](crate::TenantHandle) that is made anew for each
//! decision finds nothing handed on.

use std::collections::VecDeque;
use std::ptr::addr_eq;
use std::sync::{Arc, Weak};

use crate::{EventStore, GlobalPosition, Query, RecordedEvent};

/// How many appends are handed on: who has missed more reads.
const MOST: usize = 64;

/// The latest appends of one line. A line may serve several queries; these are of one.
#[derive(Default)]
pub(super) struct HandedOn {
    whose: Option<(Weak<dyn EventStore>, Query)>,
    appends: VecDeque<Arc<Single>>,
}

/// An append of one event, on condition that nothing that matches stood behind `after`.
pub(super) struct Single {
    pub(super) after: GlobalPosition,
    pub(super) event: RecordedEvent,
}

impl HandedOn {
    pub(super) fn add(&mut self, store: &Arc<dyn EventStore>, query: &Query, append: Single) {
        if !self.is_of(store, query) {
            self.clear();
            self.whose = Some((Arc::downgrade(store), query.clone()));
        }
        if self.appends.len() == MOST {
            self.appends.pop_front();
        }
        self.appends.push_back(Arc::new(append));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(super) fn clear(&mut self) {
        (self.whose, self.appends) = (None, VecDeque::new());
    }

    /// What follows `read_to`, if it is known to be all that matched. Another question than the last one
    /// ends what was handed on.
    pub(super) fn behind(
        &mut self,
        store: &Arc<dyn EventStore>,
        query: &Query,
        read_to: GlobalPosition,
    ) -> Option<Vec<Arc<Single>>> {
        if !self.is_of(store, query) {
            self.clear();
            return None;
        }
        let news = self.appends.iter().skip_while(move |append| append.event.position <= read_to);
        let mut known_to = read_to;
        for append in news.clone() {
            if append.after > known_to {
                return None;
            }
            known_to = append.event.position;
        }
        (known_to > read_to).then(|| news.cloned().collect())
    }

    fn is_of(&self, store: &Arc<dyn EventStore>, query: &Query) -> bool {
        // The weak handle keeps the place in memory taken, so no other store can come to stand there.
        self.whose.as_ref().is_some_and(|(of, asked)| {
            addr_eq(Weak::as_ptr(of), Arc::as_ptr(store)) && asked == query
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Append, ExpectedVersion, MemoryStore, NewEvent, QueryItem, Selection, StreamId, Tag,
    };

    fn tagged(value: &str) -> Query {
        Query::of(QueryItem::tagged([Tag::new("course", value).expect("a tag")]))
    }

    /// Appends on what stood at `after`, for each of the positions behind it.
    async fn singles(of: &[(u64, u64)]) -> (Arc<dyn EventStore>, Vec<Single>) {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let last = of.iter().map(|(_, position)| *position).max().unwrap_or_default();
        let events = (0..last).map(|_| NewEvent::new("tested", &1).expect("JSON")).collect();
        let stream = StreamId::new("test", "1").expect("a key");
        store.append(Append::to(stream, ExpectedVersion::Any, events)).await.expect("appended");
        let all = store.read_all(&Selection::All, GlobalPosition::START, 100).await.expect("read");
        let single = |&(after, position): &(u64, u64)| Single {
            after: GlobalPosition::new(after),
            event: all.events[position as usize - 1].clone(),
        };
        (store, of.iter().map(single).collect())
    }

    fn positions(
        line: &mut HandedOn,
        store: &Arc<dyn EventStore>,
        query: &Query,
        read_to: u64,
    ) -> Option<Vec<u64>> {
        let behind = line.behind(store, query, GlobalPosition::new(read_to))?;
        Some(behind.iter().map(|append| append.event.position.get()).collect())
    }

    #[tokio::test]
    async fn who_has_read_up_to_a_links_beginning_takes_what_follows() {
        // The third was made on a read that went further than the second.
        let (store, singles) = singles(&[(0, 3), (3, 4), (6, 9)]).await;
        let (mut line, query) = (HandedOn::default(), tagged("1"));
        for (count, single) in singles.into_iter().enumerate() {
            if count == 2 {
                assert_eq!(positions(&mut line, &store, &query, 0), Some(vec![3, 4]));
                assert_eq!(positions(&mut line, &store, &query, 3), Some(vec![4]));
                assert_eq!(positions(&mut line, &store, &query, 4), None, "there is nothing new");
            }
            line.add(&store, &query, single);
        }
        for read_to in 0..6 {
            assert_eq!(positions(&mut line, &store, &query, read_to), None, "5 and 6 may match");
        }
        assert_eq!(positions(&mut line, &store, &query, 6), Some(vec![9]));
        assert_eq!(positions(&mut line, &store, &query, 7), Some(vec![9]));
    }

    #[tokio::test]
    async fn only_the_same_question_to_the_same_store_is_answered() {
        let (store, mut given) = singles(&[(0, 1), (1, 2)]).await;
        let elsewhere: Arc<dyn EventStore> = Arc::new(MemoryStore::new());
        let (mut line, query) = (HandedOn::default(), tagged("1"));
        let last = given.pop().expect("two were made");
        let first = given.pop().expect("two were made");
        for (other, asked) in [(&elsewhere, &query), (&store, &tagged("2"))] {
            let (after, event) = (first.after, first.event.clone());
            line.add(&store, &query, Single { after, event });
            assert_eq!(positions(&mut line, &store, &query, 0), Some(vec![1]));
            assert_eq!(positions(&mut line, other, asked, 0), None);
            assert!(line.is_empty());
        }
        line.add(&store, &query, first);
        line.add(&store, &tagged("2"), last);
        assert_eq!(positions(&mut line, &store, &tagged("2"), 1), Some(vec![2]));
        assert_eq!(positions(&mut line, &store, &query, 0), None, "the other took its place");
    }

    #[tokio::test]
    async fn no_more_than_the_latest_are_kept() {
        let chain: Vec<_> = (0..MOST as u64 + 10).map(|at| (at, at + 1)).collect();
        let (store, singles) = singles(&chain).await;
        let (mut line, query) = (HandedOn::default(), tagged("1"));
        singles.into_iter().for_each(|single| line.add(&store, &query, single));
        assert_eq!(positions(&mut line, &store, &query, 9), None);
        let kept = positions(&mut line, &store, &query, 10).expect("all since are there");
        assert_eq!(kept.len(), MOST);
    }
}
