//! A stored event that a family doesn't know, kept as it is.

use crate::{EventType, Payload};

/// A stored event that this program has no type for, kept as it is stored.
///
/// A family gets it in a variant of its own, `#[event(raw)] Other(RawEvent)`. Only reading makes
/// one. It can't be appended by accident: [`NewEvent::from_event`](crate::NewEvent::from_event)
/// refuses it, since neither its tags nor its meaning are known. Written by
/// [`Event::encode`](crate::Event::encode), it is the very text that was read.
///
/// `Debug` shows the size of the data only: it may be personal.
#[derive(Clone, Debug, PartialEq)]
pub struct RawEvent {
    event_type: EventType,
    schema_version: u32,
    data: Payload,
}

impl RawEvent {
    pub(crate) fn read(event_type: &str, schema_version: u32, data: &Payload) -> Self {
        Self { event_type: event_type.into(), schema_version, data: data.clone() }
    }

    /// The name of its type.
    #[must_use]
    pub fn event_type(&self) -> &EventType {
        &self.event_type
    }

    /// Which shape of that type the data has.
    #[must_use]
    pub fn schema_version(&self) -> u32 {
        self.schema_version
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &Payload {
        &self.data
    }
}
