//! A batch of appends as the arrays that `highwater.append_batch` takes.

use std::error::Error;
use std::fmt;

use bytes::BytesMut;
use highwater_core::{Append, ExpectedVersion, Metadata, NewEvent};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::query_arrays::{QueryArrays, array_literal};
use crate::rivals::Rivals;

/// The arrays, and the order in which the appends stand in them.
pub(crate) struct BatchArrays<'a> {
    /// For every place in the arrays: which append of the batch stands there.
    pub(crate) order: Vec<usize>,
    parts: Parts<'a>,
    events: Events<'a>,
    /// `None` if no append has a condition.
    conditions: Option<Conditions>,
    rivals: Rivals,
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

/// One element per item of a query.
#[derive(Default)]
struct Conditions {
    appends: Vec<i32>,
    after: Vec<i64>,
    types: Vec<String>,
    tags: Vec<String>,
}

impl<'a> BatchArrays<'a> {
    /// # Errors
    /// If some metadata can't be written as JSON.
    pub(crate) fn of(batch: &[&'a Append]) -> Result<Self, serde_json::Error> {
        let is_conditional = batch.iter().any(|append| append.condition().is_some());
        let mut order: Vec<_> = (0..batch.len()).collect();
        if !is_conditional {
            // Rows are written in the order of streams (append_batch, step 5); drawing positions in
            // the same order keeps the inserts into the primary key at its right end. Conditional
            // appends stay in the order of arrival: of two rivals, the first to come wins.
            order.sort_by_key(|&index| &batch[index].streams()[0].stream);
        }
        let mut arrays = Self {
            parts: Parts::default(),
            events: Events::default(),
            conditions: is_conditional.then(Conditions::default),
            rivals: if is_conditional { Rivals::among(batch) } else { Rivals::default() },
            appends: batch.len() as i32,
            order: Vec::new(),
        };
        for (number, &index) in (1..).zip(&order) {
            arrays.push(number, batch[index])?;
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
                events.tags.push(tags(event));
                events.data.push(Json::Borrowed(event.data.as_json()));
                events.metadata.push(metadata(&event.metadata)?);
            }
        }
        if let (Some(conditions), Some(condition)) = (&mut self.conditions, source.condition()) {
            let query = QueryArrays::of(&condition.query);
            for (types, tags) in query.item_types.into_iter().zip(query.item_tags) {
                conditions.appends.push(append);
                conditions.after.push(to_i64(condition.after.get()));
                conditions.types.push(types);
                conditions.tags.push(tags);
            }
        }
        Ok(())
    }

    /// The parameters, in the function's order.
    pub(crate) fn parameters(&self) -> [&(dyn ToSql + Sync); 19] {
        let (parts, events, rivals) = (&self.parts, &self.events, &self.rivals);
        let (appends, after, types, tags): (&(dyn ToSql + Sync), &(dyn ToSql + Sync), _, _) =
            match &self.conditions {
                Some(all) => (&all.appends, &all.after, &all.types, &all.tags),
                None => (&None::<Vec<i32>>, &None::<Vec<i64>>, &NO_ITEMS, &NO_ITEMS),
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
            appends,
            after,
            types,
            tags,
            &rivals.first,
            &rivals.second,
        ]
    }
}

static NO_ITEMS: Vec<String> = Vec::new();

/// As the append functions read it.
pub(crate) fn expectation(expected: ExpectedVersion) -> i64 {
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

pub(crate) fn tags(event: &NewEvent) -> Option<String> {
    let tags = event.tags.iter().map(|tag| tag.as_str());
    (!event.tags.is_empty()).then(|| array_literal(tags))
}

pub(crate) fn metadata(metadata: &Metadata) -> Result<Option<Json<'static>>, serde_json::Error> {
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
