//! An event without most of its envelope: what it takes to fold it.

use crate::{
    DecodeError, Decoded, Event, EventType, GlobalPosition, Payload, RecordedEvent, StreamId,
    StreamVersion,
};

/// An event in the log without its id, tags, metadata and time: for who folds events and asks nothing
/// else of them. Not having to send and read the rest makes a long read a good deal faster.
///
/// [`EventStore::visit_stream`](crate::EventStore::visit_stream) and
/// [`Subscription::bare`](crate::Subscription::bare) read them.
#[derive(Clone, Debug, PartialEq)]
pub struct BareEvent {
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
    /// Its data.
    pub data: Payload,
}

impl BareEvent {
    /// Reads the event as the family `E` knows it; see [`RecordedEvent::decode`].
    ///
    /// # Errors
    /// As [`RecordedEvent::decode`].
    pub fn decode<E: Event>(&self) -> Result<Decoded<E>, DecodeError> {
        E::decode(self.event_type.as_str(), self.schema_version, &self.data)
    }
}

impl From<RecordedEvent> for BareEvent {
    fn from(whole: RecordedEvent) -> Self {
        let RecordedEvent { event_type, schema_version, stream, version, position, data, .. } =
            whole;
        Self { event_type, schema_version, stream, version, position, data }
    }
}
