//! A batch of appends as the arrays that `highwater.append_batch` takes.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use highwater_core::{Append, ExpectedVersion, Metadata};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::query_arrays::{QueryArrays, array_literal};

/// The arrays, and the order in which the appends stand in them.
pub(crate) struct BatchArrays<'a> {
    /// For every place in the arrays: which append of the batch stands there.
    pub(crate) order: Vec<usize>,
    parts: Parts<'a>,
    events: Events<'a>,
    condition: Option<(i64, QueryArrays)>,
    appends: i32,
}

#[derive(Default)]
struct Parts<'a> {
    appends: Vec<i32>,
    streams: Vec<&'a str>,
    expected: Vec<i64>,
}

#[derive(Default)]
struct Events<'a> {
    parts: Vec<i32>,
    places: Vec<i32>,
    streams: Vec<&'a str>,
    ids: Vec<Uuid>,
    types: Vec<&'a str>,
    schema_versions: Vec<i64>,
    tags: Vec<Option<String>>,
    data: Vec<Json<'a>>,
    metadata: Vec<Option<Json<'a>>>,
}

impl<'a> BatchArrays<'a> {
    /// # Errors
    /// If some metadata can't be written as JSON.
    pub(crate) fn of(batch: &'a [Append]) -> Result<Self, serde_json::Error> {
        let mut order: Vec<_> = (0..batch.len()).collect();
        // Rows are written in the order of streams (append_batch, step 5); drawing positions in the
        // same order keeps the inserts into the primary key at its right end.
        order.sort_by_key(|&index| &batch[index].streams()[0].stream);
        let mut arrays = Self {
            parts: Parts::default(),
            events: Events::default(),
            // A batch with a condition has one append.
            condition: batch.iter().find_map(Append::condition).map(|condition| {
                (to_i64(condition.after.get()), QueryArrays::of(&condition.query))
            }),
            appends: batch.len() as i32,
            order: Vec::new(),
        };
        for (place, &index) in order.iter().enumerate() {
            arrays.push(place as i32 + 1, &batch[index])?;
        }
        arrays.order = order;
        Ok(arrays)
    }

    fn push(&mut self, append: i32, source: &'a Append) -> Result<(), serde_json::Error> {
        for part in source.streams() {
            self.parts.appends.push(append);
            self.parts.streams.push(part.stream.as_str());
            self.parts.expected.push(expectation(part.expected));
            for (place, event) in (1..).zip(&part.events) {
                let events = &mut self.events;
                events.parts.push(self.parts.appends.len() as i32);
                events.places.push(place);
                events.streams.push(part.stream.as_str());
                events.ids.push(event.id.as_uuid());
                events.types.push(event.event_type.as_str());
                events.schema_versions.push(i64::from(event.schema_version));
                let tags = event.tags.iter().map(|tag| tag.as_str());
                events.tags.push((!event.tags.is_empty()).then(|| array_literal(tags)));
                events.data.push(Json::Borrowed(event.data.as_json()));
                events.metadata.push(metadata(&event.metadata)?);
            }
        }
        Ok(())
    }

    /// The parameters, in the function's order.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 16] {
        let (parts, events) = (&self.parts, &self.events);
        let (after, types, tags): (&(dyn ToSql + Sync), _, _) = match &self.condition {
            Some((after, query)) => (after, &query.item_types, &query.item_tags),
            None => (&None::<i64>, &NO_ITEMS, &NO_ITEMS),
        };
        [
            &self.appends,
            &parts.appends,
            &parts.streams,
            &parts.expected,
            &events.parts,
            &events.places,
            &events.streams,
            &events.ids,
            &events.types,
            &events.schema_versions,
            &events.tags,
            &events.data,
            &events.metadata,
            after,
            types,
            tags,
        ]
    }
}

static NO_ITEMS: Vec<String> = Vec::new();

/// As `append_batch` reads it.
fn expectation(expected: ExpectedVersion) -> i64 {
    match expected {
        ExpectedVersion::Any => -2,
        ExpectedVersion::StreamExists => -1,
        ExpectedVersion::NoStream => 0,
        ExpectedVersion::Exact(version) => to_i64(version.get()),
        // An expectation this store doesn't know must not be taken for one that it does.
        _ => i64::MAX,
    }
}

/// Numbers of the log fit; one that doesn't was made up, and is beyond any that is stored.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn metadata(metadata: &Metadata) -> Result<Option<Json<'static>>, serde_json::Error> {
    if metadata.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(metadata).map(|json| Some(Json::Owned(json)))
}

/// JSON text on its way into a `json` column. `Debug` shows its size only: drivers log parameters.
pub(crate) enum Json<'a> {
    Borrowed(&'a str),
    Owned(String),
}

impl Json<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(json) => json,
            Self::Owned(json) => json,
        }
    }
}

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.as_str().as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSON
    }

    to_sql_checked!();
}

impl fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.as_str().len())
    }
}
