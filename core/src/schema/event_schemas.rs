//! The schemas of a family of events, as the program at hand writes and reads them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::canonical;
use crate::event_family::gets_by;
use crate::{Event, EventDescriptor, FormerType, UnknownEvents};

/// A family whose events' data is described. `#[derive(Event)]` writes it where the enum says
/// `#[event(schema)]`.
#[diagnostic::on_unimplemented(
    message = "the events of `{Self}` have no schemas",
    label = "add `#[event(schema)]` to this enum, beside `#[derive(Event)]`"
)]
pub trait DescribeEvents: Event {
    /// Adds every event type of the family.
    fn describe(schemas: &mut EventSchemas);
}

/// One shape of an event's data, as JSON Schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// What is written.
    pub writes: Value,
    /// What is read, if that is more than what is written: a field with a default may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Value>,
}

impl Shape {
    /// What is read.
    #[must_use]
    pub fn reads(&self) -> &Value {
        self.reads.as_ref().unwrap_or(&self.writes)
    }
}

/// One event type, in the version that is written today.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventSchema {
    /// The name of the type.
    pub event_type: String,
    /// Its version.
    pub version: u32,
    /// What its data looks like.
    pub shape: Shape,
}

/// What the program at hand writes and reads: a schema for each event type of a family.
///
/// ```
/// use highwater::Event;
/// use highwater::schema::EventSchemas;
///
/// #[derive(Event)]
/// #[event(schema)]
/// enum OrderEvent {
///     #[event(name = "order.placed")]
///     Placed { customer: String, amount_cents: u64 },
/// }
///
/// let schemas = EventSchemas::of::<OrderEvent>();
/// let placed = schemas.get("order.placed").expect("it is described");
/// assert_eq!(placed.shape.writes["properties"]["customer"]["type"], "string");
/// ```
#[derive(Clone)]
pub struct EventSchemas {
    schemas: Vec<EventSchema>,
    unknown: UnknownEvents,
    today: &'static [EventDescriptor],
    former: &'static [FormerType],
    unknown_of: fn(&str) -> UnknownEvents,
    gets_by: fn(&str, u32) -> bool,
}

impl EventSchemas {
    /// The schemas of the family `E`, sorted by name.
    #[must_use]
    pub fn of<E: DescribeEvents>() -> Self {
        let mut schemas = Self {
            schemas: Vec::new(),
            unknown: E::UNKNOWN,
            today: E::TYPES,
            former: E::FORMER_TYPES,
            unknown_of: E::unknown_of,
            gets_by: gets_by::<E>,
        };
        E::describe(&mut schemas);
        schemas.schemas.sort_by(|one, other| one.event_type.cmp(&other.event_type));
        schemas
    }

    /// Adds one event type whose data is a `T`. For [`DescribeEvents::describe`].
    pub fn add<T: JsonSchema>(&mut self, event_type: &str, version: u32) {
        let (writes, reads) = (canonical::written::<T>(), canonical::read::<T>());
        let reads = (reads != writes).then_some(reads);
        let shape = Shape { writes, reads };
        self.schemas.push(EventSchema { event_type: event_type.to_owned(), version, shape });
    }

    /// The schemas, sorted by name.
    pub fn iter(&self) -> std::slice::Iter<'_, EventSchema> {
        self.schemas.iter()
    }

    /// The schema of one event type.
    #[must_use]
    pub fn get(&self, event_type: &str) -> Option<&EventSchema> {
        self.schemas.iter().find(|schema| schema.event_type == event_type)
    }

    /// What becomes of events of a type that the program doesn't know.
    #[must_use]
    pub fn unknown(&self) -> UnknownEvents {
        self.unknown
    }

    /// Whether the program gets by with an event of this type and version: it has the type or an
    /// upcaster, dropped it, or skips or keeps what it doesn't know.
    #[must_use]
    pub fn gets_by_with(&self, event_type: &str, version: u32) -> bool {
        (self.gets_by)(event_type, version)
    }

    /// Whether the program stops at events that it doesn't know: at a newer version of this type,
    /// which the family it belongs to decides, or at a new type beside it, which may be for a family
    /// around that one.
    pub(super) fn fails_on_unknown(&self, event_type: &str) -> bool {
        [self.unknown, (self.unknown_of)(event_type)].contains(&UnknownEvents::Fail)
    }

    /// Whether the family knows the name, as one of today or of the past.
    pub(super) fn knows(&self, event_type: &str) -> bool {
        self.today.iter().any(|today| today.name == event_type)
            || self.former.iter().any(|former| former.name == event_type)
    }

    /// The schema of the type that has another name today.
    pub(super) fn renamed(&self, former_name: &str) -> Option<&EventSchema> {
        let mut renamed = self.former.iter().filter(|former| former.is_renamed);
        let now = renamed.find(|former| former.name == former_name)?.now;
        self.get(now.first()?)
    }
}

impl<'a> IntoIterator for &'a EventSchemas {
    type Item = &'a EventSchema;
    type IntoIter = std::slice::Iter<'a, EventSchema>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for EventSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = self.schemas.iter().map(|schema| (&schema.event_type, schema.version));
        f.debug_map().entries(types).finish()
    }
}
