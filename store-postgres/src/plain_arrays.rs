//! A batch of plain appends, each to one stream and without a condition, as the arrays that
//! `highwater.append_events` takes.

use highwater_core::Append;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::batch_arrays::{Json, expectation, metadata, tags};

/// True if `highwater.append_events` can take the append.
pub(crate) fn is_plain(append: &Append) -> bool {
    append.condition().is_none() && append.streams().len() == 1
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
}

impl<'a> PlainArrays<'a> {
    /// # Errors
    /// If some metadata can't be written as JSON.
    pub(crate) fn of(batch: &'a [Append]) -> Result<Self, serde_json::Error> {
        let mut order: Vec<_> = batch.iter().enumerate().collect();
        // Entries of unique indexes are waited for in the order of streams (append_batch): so two
        // processes can't wait for each other's.
        order.sort_by_key(|(_, append)| &append.streams()[0].stream);
        let mut arrays = Self::with_room_for(batch.iter().map(Append::event_count).sum());
        for (owner, append) in order {
            arrays.push(owner, append)?;
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

    /// The parameters of `highwater.append_event`, if this is one event without tags.
    pub(crate) fn single(&self) -> Option<[&(dyn ToSql + Sync); 7]> {
        let is_single = self.ids.len() == 1 && !self.has_tags;
        is_single.then(|| -> [&(dyn ToSql + Sync); 7] {
            [
                &self.streams[0],
                &self.expected[0],
                &self.ids[0],
                &self.types[0],
                &self.schema_versions[0],
                &self.data[0],
                &self.metadata[0],
            ]
        })
    }

    /// The parameters of `highwater.append_events`. An array in which nothing stands is left out:
    /// whole parts of the function are then skipped.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.streams,
            &self.expected,
            &self.places,
            &self.ids,
            &self.types,
            &self.schema_versions,
            if self.has_tags { &self.tags } else { &None::<Vec<String>> },
            &self.data,
            if self.has_metadata { &self.metadata } else { &None::<Vec<Json<'static>>> },
        ]
    }
}
