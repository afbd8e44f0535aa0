//! An event in the log: every field of its envelope, each defined once.

use jiff::Timestamp;

use crate::{
    DecodeError, Decoded, Event, EventId, EventType, GlobalPosition, Metadata, Payload, StreamId,
    StreamVersion, Tag,
};

/// An event as the log holds it. It never changes.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedEvent {
    /// Identifies the event for ever.
    pub id: EventId,
    /// The name of its type.
    pub event_type: EventType,
    /// Which shape of that type `data` has.
    pub schema_version: u32,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in that stream: 1, 2, 3 …, without gaps.
    pub version: StreamVersion,
    /// Its place in the whole log: strictly increasing in order of visibility.
    pub position: GlobalPosition,
    /// When the store's clock recorded it. Tells people; decides nothing.
    pub recorded_at: Timestamp,
    /// Its data.
    pub data: Payload,
    /// What it is about beyond its stream.
    pub tags: Vec<Tag>,
    /// Who, why, in which flow.
    pub metadata: Metadata,
}

/// Where and when an event was recorded.
#[cfg(feature = "runtime")]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    pub(crate) position: GlobalPosition,
    pub(crate) recorded_at: Timestamp,
}

impl RecordedEvent {
    /// The event as whoever reads it finds it.
    #[cfg(feature = "runtime")]
    pub(crate) fn at(place: Place, event: crate::NewEvent) -> Self {
        let Place { stream, version, position, recorded_at } = place;
        let crate::NewEvent { id, event_type, schema_version, data, tags, metadata } = event;
        Self {
            id,
            event_type,
            schema_version,
            stream,
            version,
            position,
            recorded_at,
            data,
            tags,
            metadata,
        }
    }

    /// Reads the event as the family `E` knows it: one event, or none if its type was dropped or
    /// skipped, or several if it was split.
    ///
    /// # Errors
    /// [`DecodeError`] if the type isn't of this family, its version is unknown (unless the family
    /// has another policy for these two), or the data doesn't have the shape that the version
    /// promises.
    pub fn decode<E: Event>(&self) -> Result<Decoded<E>, DecodeError> {
        E::decode(self.event_type.as_str(), self.schema_version, &self.data)
    }
}
