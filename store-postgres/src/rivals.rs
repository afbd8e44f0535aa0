//! Conditional appends of one batch that ask about each other's events.
//!
//! The database looks for what a condition forbids in the log, where the batch itself doesn't stand
//! yet. So whoever asks about an event that stands before it in the batch is told to the database as
//! that append's rival: only one of them is appended.

use std::collections::HashMap;

use highwater_core::{Append, Query, QueryItem};

/// Pairs of appends by their numbers (from 1 on): the second asks about an event of the first.
#[derive(Default)]
pub(crate) struct Rivals {
    pub(crate) first: Vec<i32>,
    pub(crate) second: Vec<i32>,
}

impl Rivals {
    /// The rivals among the appends of a batch.
    ///
    /// Appends are found by the tags and types that they carry, so that a batch of strangers costs
    /// as much as its conditions are long, not as much as it has pairs.
    pub(crate) fn among(batch: &[&Append]) -> Self {
        let mut rivals = Self::default();
        let mut carriers = Carriers::default();
        for (index, append) in batch.iter().enumerate() {
            if let Some(condition) = append.condition() {
                let mut earlier: Vec<_> = condition
                    .query
                    .items()
                    .iter()
                    .flat_map(|item| carriers.of_any(item, index))
                    .filter(|&earlier| asks_about(&condition.query, batch[earlier]))
                    .collect();
                earlier.sort_unstable();
                earlier.dedup();
                rivals.second.extend(earlier.iter().map(|_| number(index)));
                rivals.first.extend(earlier.into_iter().map(number));
            }
            carriers.add(index, append);
        }
        rivals
    }
}

fn asks_about(query: &Query, append: &Append) -> bool {
    append.events().any(|event| query.matches(&event.event_type, &event.tags))
}

fn number(index: usize) -> i32 {
    index as i32 + 1
}

/// Which appends carry a tag or a type.
#[derive(Default)]
struct Carriers<'a> {
    tags: HashMap<&'a str, Vec<usize>>,
    types: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Carriers<'a> {
    fn add(&mut self, index: usize, append: &'a Append) {
        for event in append.events() {
            for tag in &event.tags {
                self.tags.entry(tag.as_str()).or_default().push(index);
            }
            self.types.entry(event.event_type.as_str()).or_default().push(index);
        }
    }

    /// The appends in front of `index` that an item could be about.
    fn of_any(&self, item: &QueryItem, index: usize) -> Vec<usize> {
        let carriers = |map: &HashMap<&str, Vec<usize>>, name: &str| {
            map.get(name).cloned().unwrap_or_default()
        };
        match (item.tags(), item.event_types()) {
            ([tag, ..], _) => carriers(&self.tags, tag.as_str()),
            ([], []) => (0..index).collect(),
            ([], types) => {
                types.iter().flat_map(|name| carriers(&self.types, name.as_str())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::{
        AppendCondition, ExpectedVersion, GlobalPosition, NewEvent, StreamId, Tag,
    };

    use super::*;

    fn append(event_type: &'static str, tags: &[&str], query: Option<Query>) -> Append {
        let event = NewEvent::new(event_type, &()).expect("unit is JSON");
        let event = tags
            .iter()
            .fold(event, |event, tag| event.with_tag(Tag::new("about", tag).expect("a valid tag")));
        let stream = StreamId::new("test", "a").expect("a valid key");
        let append = Append::to(stream, ExpectedVersion::Any, vec![event]);
        match query {
            Some(query) => {
                append.with_condition(AppendCondition::new(query, GlobalPosition::START))
            }
            None => append,
        }
    }

    fn about(tags: &[&str]) -> QueryItem {
        QueryItem::tagged(tags.iter().map(|tag| Tag::new("about", tag).expect("a valid tag")))
    }

    fn pairs(batch: &[Append]) -> Vec<(i32, i32)> {
        let rivals = Rivals::among(&batch.iter().collect::<Vec<_>>());
        rivals.first.into_iter().zip(rivals.second).collect()
    }

    #[test]
    fn whoever_asks_about_an_earlier_event_of_the_batch_is_its_rival() {
        let hot = || append("a", &["x"], Some(Query::of(about(&["x"]))));
        assert_eq!(pairs(&[hot(), hot(), hot()]), [(1, 2), (1, 3), (2, 3)]);
        for (query, is_rival) in [
            (Query::of(about(&["x", "y"])), true),
            (Query::of(about(&["x", "z"])), false),
            (Query::of(QueryItem::types(["a"])), true),
            (Query::of(QueryItem::types(["b"])), false),
            (Query::of(QueryItem::types(["b"]).and_tag(about(&["x"]).tags()[0].clone())), false),
            (Query::of(QueryItem::default()), true),
            (Query::of(about(&["z"])).or(QueryItem::types(["b", "a"])), true),
            (Query::default(), false),
        ] {
            let first = append("a", &["y", "x"], None);
            let second = append("other", &[], Some(query.clone()));
            let expected = if is_rival { vec![(1, 2)] } else { vec![] };
            assert_eq!(pairs(&[first.clone(), second.clone()]), expected, "{query:?}");
            assert_eq!(pairs(&[second, first]), [], "nobody asks about what comes later");
        }
    }
}
