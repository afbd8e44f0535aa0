//! A batch of appends, each to one stream and with a condition on one tag at most, as the arrays that
//! `highwater.append_events` takes.

use highwater_core::{Append, AppendCondition, EventType, QueryItem, StreamId};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::batch_arrays::{Json, expectation, metadata, tags, to_i64};
use crate::query_arrays::array_literal;
use crate::rivals::Rivals;

/// True if `highwater.append_events` can take the batch.
pub(crate) fn are_plain(batch: &[Append]) -> bool {
    let mut has_conditions = false;
    for append in batch {
        if append.streams().len() != 1 {
            return false;
        }
        if let Some(condition) = append.condition() {
            has_conditions = true;
            if one_tag(condition).is_none() {
                return false;
            }
        }
    }
    !has_conditions || !has_rivals(batch)
}

/// The function looks into the log, where the batch's own events don't stand yet. So no append may ask
/// about one that comes before it: neither by arrival, where it would have to lose, nor in the arrays'
/// order, which is that of positions.
fn has_rivals(batch: &[Append]) -> bool {
    let mut appends: Vec<_> = batch.iter().collect();
    let by_arrival = Rivals::among(&appends);
    appends.sort_by_key(|append| position_key(append));
    !by_arrival.first.is_empty() || !Rivals::among(&appends).first.is_empty()
}

/// What appends are sorted by in the arrays. Entries of unique indexes are waited for in the order of
/// streams (append_batch): so two processes can't wait for each other's.
fn position_key(append: &Append) -> &StreamId {
    &append.streams()[0].stream
}

/// What a condition asks about, if that is one tag.
fn one_tag(condition: &AppendCondition) -> Option<(&str, &QueryItem)> {
    match condition.query.items() {
        [item] => match item.tags() {
            [tag] => Some((tag.as_str(), item)),
            _ => None,
        },
        _ => None,
    }
}

/// The arrays, and the order in which the appends stand in them.
#[derive(Default)]
pub(crate) struct PlainArrays<'a> {
    /// For every place in the arrays: which append of the batch the event belongs to.
    pub(crate) owners: Vec<usize>,
    streams: Vec<&'a str>,
    expected: Vec<i64>,
    places: Vec<i32>,
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    schema_versions: Vec<i64>,
    tags: Vec<Option<String>>,
    has_tags: bool,
    data: Vec<Json<'a>>,
    metadata: Vec<Option<Json<'a>>>,
    has_metadata: bool,
    /// Empty if no append has a condition.
    conditions: Conditions<'a>,
}

/// Each event's append's condition.
#[derive(Default)]
struct Conditions<'a> {
    tags: Vec<Option<&'a str>>,
    after: Vec<Option<i64>>,
    types: Vec<Option<String>>,
}

impl<'a> Conditions<'a> {
    fn push(&mut self, condition: Option<&'a AppendCondition>) {
        let asked = condition.and_then(|condition| {
            one_tag(condition).map(|(tag, item)| (tag, to_i64(condition.after.get()), item))
        });
        self.tags.push(asked.map(|(tag, ..)| tag));
        self.after.push(asked.map(|(_, after, _)| after));
        self.types.push(asked.and_then(|(.., item)| {
            let types = item.event_types();
            (!types.is_empty()).then(|| array_literal(types.iter().map(EventType::as_str)))
        }));
    }
}

impl<'a> PlainArrays<'a> {
    /// # Errors
    /// If some metadata can't be written as JSON.
    pub(crate) fn of(batch: &'a [Append]) -> Result<Self, serde_json::Error> {
        let mut order: Vec<_> = batch.iter().enumerate().collect();
        order.sort_by_key(|(_, append)| position_key(append));
        let mut arrays = Self::with_room_for(batch.iter().map(Append::event_count).sum());
        let has_conditions = batch.iter().any(|append| append.condition().is_some());
        for (owner, append) in order {
            arrays.push(owner, append)?;
            if has_conditions {
                append.events().for_each(|_| arrays.conditions.push(append.condition()));
            }
        }
        Ok(arrays)
    }

    fn with_room_for(events: usize) -> Self {
        Self {
            owners: Vec::with_capacity(events),
            streams: Vec::with_capacity(events),
            expected: Vec::with_capacity(events),
            places: Vec::with_capacity(events),
            ids: Vec::with_capacity(events),
            types: Vec::with_capacity(events),
            schema_versions: Vec::with_capacity(events),
            tags: Vec::with_capacity(events),
            data: Vec::with_capacity(events),
            metadata: Vec::with_capacity(events),
            ..Self::default()
        }
    }

    fn push(&mut self, owner: usize, append: &'a Append) -> Result<(), serde_json::Error> {
        for part in append.streams() {
            let expected = expectation(part.expected);
            for (place, event) in (1..).zip(&part.events) {
                self.owners.push(owner);
                self.streams.push(part.stream.as_str());
                self.expected.push(expected);
                self.places.push(place);
                self.ids.push(event.id.as_uuid());
                self.types.push(event.event_type.as_str());
                self.schema_versions.push(i64::from(event.schema_version));
                self.tags.push(tags(event));
                self.has_tags |= !event.tags.is_empty();
                self.data.push(Json::Borrowed(event.data.as_json()));
                self.metadata.push(metadata(&event.metadata)?);
                self.has_metadata |= self.metadata.last().is_some_and(Option::is_some);
            }
        }
        Ok(())
    }

    /// The parameters of `highwater.append_event`, if this is one event without tags or condition for a
    /// stream at a certain version; and which.
    pub(crate) fn single(&self) -> Option<(i64, [&(dyn ToSql + Sync); 7])> {
        let is_single = self.ids.len() == 1 && !self.has_tags && self.conditions.tags.is_empty();
        let expected = self.expected.first().copied().filter(|expected| *expected >= 0);
        let expected = expected.filter(|_| is_single)?;
        Some((
            expected,
            [
                &self.streams[0],
                &self.expected[0],
                &self.ids[0],
                &self.types[0],
                &self.schema_versions[0],
                &self.data[0],
                &self.metadata[0],
            ],
        ))
    }

    /// The parameters of `highwater.append_events`. An array in which nothing stands is left out:
    /// whole parts of the function are then skipped.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 12] {
        let asked = &self.conditions;
        let (tags, after, types): (&(dyn ToSql + Sync), &(dyn ToSql + Sync), _) =
            if asked.tags.is_empty() {
                (NO_TEXTS, &None::<Vec<i64>>, NO_TEXTS)
            } else {
                (&asked.tags, &asked.after, &asked.types as &(dyn ToSql + Sync))
            };
        [
            &self.streams,
            &self.expected,
            &self.places,
            &self.ids,
            &self.types,
            &self.schema_versions,
            if self.has_tags { &self.tags } else { NO_TEXTS },
            &self.data,
            if self.has_metadata { &self.metadata } else { &None::<Vec<Json<'static>>> },
            tags,
            after,
            types,
        ]
    }
}

const NO_TEXTS: &(dyn ToSql + Sync) = &None::<Vec<String>>;

#[cfg(test)]
mod tests {
    use highwater_core::{ExpectedVersion, GlobalPosition, NewEvent, Query, Tag};

    use super::*;

    fn append(key: &str, carried: &str, asked: &str) -> Append {
        let tag = |name: &str| Tag::new("about", name).expect("a valid tag");
        let event = NewEvent::new("tested", &()).expect("unit is JSON").with_tag(tag(carried));
        let stream = StreamId::new("test", key).expect("a valid key");
        let query = Query::of(QueryItem::tagged([tag(asked)]));
        Append::to(stream, ExpectedVersion::Any, vec![event])
            .with_condition(AppendCondition::new(query, GlobalPosition::START))
    }

    #[test]
    fn nobody_who_asks_about_an_append_is_written_behind_it_unasked() {
        let strangers = [append("b", "x", "u"), append("a", "y", "v")];
        assert!(are_plain(&strangers));
        // The second asks about the first.
        assert!(!are_plain(&[append("a", "x", "u"), append("b", "y", "x")]));
        // The first asks about the second, whose stream puts it in front.
        assert!(!are_plain(&[append("b", "y", "x"), append("a", "x", "u")]));
        // The first asks about the second, and stays in front of it.
        assert!(are_plain(&[append("a", "y", "x"), append("b", "x", "u")]));
    }
}
