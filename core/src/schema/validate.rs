//! Whether the data of one event is as its schema says.
//!
//! One value is a shape that describes nothing else, so the rules that compare shapes do this too.
//! What they can't tell passes: an event is refused for what is certainly wrong with it.

use std::collections::BTreeSet;
#[cfg(feature = "runtime")]
use std::sync::Arc;

#[cfg(feature = "runtime")]
use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::EventSchemas;
use super::fit::misfits_of_value;
use crate::NewEvent;

/// An event isn't as the schema of its type says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// It isn't of the version that is written.
    #[error("event type {event_type:?} is written in version {written}, not in {found}")]
    Version {
        /// The type.
        event_type: String,
        /// The event's version.
        found: u32,
        /// The version of the schema.
        written: u32,
    },
    /// Its data has another shape. The message says where, never what: it may be personal.
    #[error("the data of event type {event_type:?} doesn't fit its schema at {path:?}")]
    Data {
        /// The type.
        event_type: String,
        /// Where, such as `/lines/0/quantity`; empty for the whole. A name that the schema doesn't
        /// list, such as a map's key, is data itself: it is told as `*`.
        path: String,
    },
}

impl EventSchemas {
    /// Checks an event that no type has checked, such as one made by [`NewEvent::new`]. A type that
    /// isn't described here passes, and so does a construct that there is no rule for.
    ///
    /// # Errors
    /// [`InvalidEvent`].
    pub fn validate(&self, event: &NewEvent) -> Result<(), InvalidEvent> {
        let Some(schema) = self.get(event.event_type.as_str()) else { return Ok(()) };
        let event_type = || schema.event_type.clone();
        if event.schema_version != schema.version {
            let (found, written) = (event.schema_version, schema.version);
            return Err(InvalidEvent::Version { event_type: event_type(), found, written });
        }
        let value = event
            .data
            .to_value()
            .map_err(|_| InvalidEvent::Data { event_type: event_type(), path: String::new() })?;
        let wrong = misfits_of_value(&exactly(&value), schema.shape.reads());
        match wrong.into_iter().find(|misfit| misfit.is_certain) {
            None => Ok(()),
            Some(misfit) => Err(InvalidEvent::Data { event_type: event_type(), path: misfit.path }),
        }
    }
}

/// The schema of this value and no other.
fn exactly(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let texts: BTreeSet<_> = items.iter().map(Value::to_string).collect();
            json!({
                "type": "array",
                "prefixItems": items.iter().map(exactly).collect::<Vec<_>>(),
                "items": false,
                "minItems": items.len(),
                "maxItems": items.len(),
                "uniqueItems": texts.len() == items.len(),
            })
        }
        Value::Object(fields) => {
            let each = fields.iter().map(|(name, value)| (name.clone(), exactly(value)));
            json!({
                "type": "object",
                "properties": each.collect::<Map<_, _>>(),
                "required": fields.keys().collect::<Vec<_>>(),
                "additionalProperties": false,
            })
        }
        plain => json!({ "const": plain }),
    }
}

/// A log that refuses events which aren't as their schemas say, before they are stored. What isn't
/// described passes.
///
/// Events of a family are checked by their types already; this is for logs that are appended to
/// without them. It parses each event's data once more.
#[cfg(feature = "runtime")]
pub struct CheckedLog {
    inner: Arc<dyn crate::EventStore>,
    schemas: EventSchemas,
}

#[cfg(feature = "runtime")]
impl CheckedLog {
    /// Checks what is appended to `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn crate::EventStore>, schemas: EventSchemas) -> Self {
        Self { inner, schemas }
    }
}

#[cfg(feature = "runtime")]
#[async_trait]
impl crate::StoreLayer for CheckedLog {
    fn inner(&self) -> &dyn crate::EventStore {
        &*self.inner
    }

    async fn append(&self, append: crate::Append) -> Result<crate::Appended, crate::AppendError> {
        for event in append.events() {
            self.schemas
                .validate(event)
                .map_err(|error| crate::AppendError::Refused { source: Box::new(error) })?;
        }
        self.inner.append(append).await
    }

    // Neither the events nor the streams are changed.
    fn snapshots(&self) -> Option<&dyn crate::SnapshotStore> {
        self.inner.snapshots()
    }

    fn returns_what_was_appended(&self) -> bool {
        self.inner.returns_what_was_appended()
    }

    async fn visit_stream(
        &self,
        stream: &crate::StreamId,
        after: crate::StreamVersion,
        limit: usize,
        visit: &mut (dyn FnMut(crate::BareEvent) + Send),
    ) -> Result<usize, crate::ReadError> {
        self.inner.visit_stream(stream, after, limit, visit).await
    }

    async fn read_all_bare(
        &self,
        selection: &crate::Selection,
        after: crate::GlobalPosition,
        limit: usize,
    ) -> Result<crate::Page<crate::BareEvent>, crate::ReadError> {
        self.inner.read_all_bare(selection, after, limit).await
    }
}
