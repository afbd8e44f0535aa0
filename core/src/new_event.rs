//! An event before it is appended.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::{EncodeError, Event, EventId, InvalidPayload, Metadata, Payload, Tag};

/// The name of an event's type, such as `order.placed`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Name);

#[derive(Clone)]
enum Name {
    Static(&'static str),
    Shared(Arc<str>),
}

impl EventType {
    /// A name known at compile time: costs no allocation.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self(Name::Static(name))
    }

    /// The name of an event's type; costs no allocation if it is one of its family's.
    fn of<E: Event>(event: &E) -> Self {
        let name = event.event_type();
        let known = E::TYPES.iter().find(|known| known.name == name);
        known.map_or_else(|| name.into(), |known| Self::from_static(known.name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Name::Static(name) => name,
            Name::Shared(name) => name,
        }
    }
}

impl From<&str> for EventType {
    fn from(name: &str) -> Self {
        Self(Name::Shared(name.into()))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_ref().cmp(other.as_ref())
    }
}

impl std::hash::Hash for Name {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        match self {
            Self::Static(name) => name,
            Self::Shared(name) => name,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventType({})", self.as_str())
    }
}

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Identifies the event; appending the same ids again is recognised, never doubled.
    pub id: EventId,
    /// The name of its type.
    pub event_type: EventType,
    /// Which shape of that type `data` has.
    pub schema_version: u32,
    /// Its data.
    pub data: Payload,
    /// What it is about beyond its stream.
    pub tags: Vec<Tag>,
    /// Who, why, in which flow.
    pub metadata: Metadata,
}

impl NewEvent {
    /// An untyped event with a fresh id and schema version 1.
    ///
    /// # Errors
    /// [`InvalidPayload`] if `data` can't be written as JSON.
    pub fn new(
        event_type: impl Into<EventType>,
        data: &impl Serialize,
    ) -> Result<Self, InvalidPayload> {
        Ok(Self {
            id: EventId::new(),
            event_type: event_type.into(),
            schema_version: 1,
            data: Payload::from_value(data)?,
            tags: Vec::new(),
            metadata: Metadata::default(),
        })
    }

    /// A typed event with a fresh id.
    ///
    /// # Errors
    /// [`EncodeError`] if the event can't be written as JSON, a tag's value isn't valid, or the event
    /// was read raw.
    pub fn from_event<E: Event>(event: &E) -> Result<Self, EncodeError> {
        if let Some(raw) = event.as_raw() {
            return Err(EncodeError::Raw { event_type: raw.event_type().clone() });
        }
        Ok(Self {
            id: EventId::new(),
            event_type: EventType::of(event),
            schema_version: event.schema_version(),
            data: event.encode()?,
            tags: event.tags()?,
            metadata: Metadata::default(),
        })
    }

    /// Replaces the id.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = id;
        self
    }

    /// Replaces the metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }
}
