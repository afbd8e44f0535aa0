//! Which stream an event of a boundary goes behind.

use crate::{EncodeError, Event, EventType, InvalidStreamId, NewEvent, StreamId};

/// Why an event can't be appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnfiledEvent {
    /// It can't be written.
    #[error("an event can't be written")]
    Encode(#[source] EncodeError),
    /// It has no tag to take its stream from.
    #[error(
        "event {event_type} has no tag to take its stream from: tag a field, or name the stream"
    )]
    NoTag {
        /// The event's type.
        event_type: EventType,
    },
    /// Its first tag can't name a stream.
    #[error("the first tag of event {event_type} can't name a stream: name the stream yourself")]
    Stream {
        /// The event's type.
        event_type: EventType,
        /// What is wrong with it.
        #[source]
        source: InvalidStreamId,
    },
}

/// An event that knows its stream.
///
/// Every event stands in a stream, also one whose rule spans several things. The stream is where
/// people look for it and what per-stream readers follow; the rule doesn't depend on it.
///
/// - An event of a family ([`Event`]) goes behind **the stream that its first tag names**: with the
///   tags `course:rust-101` and `student:ada`, behind `course-rust-101`.
/// - A pair of a stream and an event goes behind that stream.
///
/// The streams of a decision are appended to at any version: its condition guards it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't say which stream it goes behind",
    label = "give an event of a family (`#[derive(Event)]`), or a pair of `StreamId` and event"
)]
pub trait BoundaryEvent: Send + Sync {
    /// The stream, and the event as it is appended.
    ///
    /// # Errors
    /// [`UnfiledEvent`] if the event can't be written or names no stream.
    fn to_filed(&self) -> Result<(StreamId, NewEvent), UnfiledEvent>;
}

impl<E: Event> BoundaryEvent for E {
    fn to_filed(&self) -> Result<(StreamId, NewEvent), UnfiledEvent> {
        let event = NewEvent::from_event(self).map_err(UnfiledEvent::Encode)?;
        let event_type = event.event_type.clone();
        let first = event.tags.first().and_then(|tag| tag.as_str().split_once(':'));
        let (name, value) =
            first.ok_or_else(|| UnfiledEvent::NoTag { event_type: event_type.clone() })?;
        let stream = StreamId::new(name, value)
            .map_err(|source| UnfiledEvent::Stream { event_type, source })?;
        Ok((stream, event))
    }
}

impl<E: Event> BoundaryEvent for (StreamId, E) {
    fn to_filed(&self) -> Result<(StreamId, NewEvent), UnfiledEvent> {
        let event = NewEvent::from_event(&self.1).map_err(UnfiledEvent::Encode)?;
        Ok((self.0.clone(), event))
    }
}

impl BoundaryEvent for (StreamId, NewEvent) {
    fn to_filed(&self) -> Result<(StreamId, NewEvent), UnfiledEvent> {
        Ok(self.clone())
    }
}
