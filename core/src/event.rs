//! What a type must offer to be stored as an event.

use crate::{InvalidPayload, InvalidTag, Payload, Tag};

/// An event couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The data can't be written as JSON.
    #[error("could not write the data of event {event_type}")]
    Data {
        /// The event's type.
        event_type: &'static str,
        /// What JSON says.
        #[source]
        source: InvalidPayload,
    },
    /// A tagged field has a value that can't be a tag.
    #[error("could not tag event {event_type}")]
    Tag {
        /// The event's type.
        event_type: &'static str,
        /// What is wrong with the tag.
        #[source]
        source: InvalidTag,
    },
}

/// A stored event couldn't be read as a given family of events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The family has no event of this name.
    #[error("event type {event_type:?} is not one of {family}")]
    UnknownType {
        /// The stored type.
        event_type: String,
        /// The family that was asked for.
        family: &'static str,
    },
    /// The event was written by a program that knows a shape which this one doesn't.
    #[error(
        "event type {event_type:?} has schema version {found}, this program knows up to {known}"
    )]
    UnknownVersion {
        /// The stored type.
        event_type: String,
        /// The stored version.
        found: u32,
        /// The version that the family writes.
        known: u32,
    },
    /// The data doesn't have the shape that its version promises.
    #[error("data of event type {event_type:?} version {schema_version} has another shape")]
    Malformed {
        /// The stored type.
        event_type: String,
        /// The stored version.
        schema_version: u32,
        /// Where the shape differs.
        #[source]
        source: InvalidPayload,
    },
}

/// The name and current version of one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventDescriptor {
    /// The name, such as `order.placed`.
    pub name: &'static str,
    /// The schema version that is written today.
    pub version: u32,
}

/// A family of events, usually an enum with a variant per event type.
///
/// Derive it:
///
/// ```
/// use highwater::Event;
///
/// #[derive(Event, Clone, Debug, PartialEq)]
/// enum OrderEvent {
///     #[event(name = "order.placed")]
///     Placed { #[event(tag)] customer: String, amount_cents: u64 },
///     #[event(name = "order.cancelled")]
///     Cancelled,
/// }
/// ```
///
/// # Contract
/// - `decode(event_type(), schema_version(), &encode()?)` MUST give the event back.
/// - `event_type` MUST be one of `TYPES`, and a name MUST NOT be given to another event later.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a family of events",
    label = "add `#[derive(Event)]` to this type",
    note = "every variant needs `#[event(name = \"thing.happened\")]`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every event type of the family.
    const TYPES: &'static [EventDescriptor];

    /// The name of this event's type.
    fn event_type(&self) -> &'static str;

    /// The schema version that [`Event::encode`] writes.
    fn schema_version(&self) -> u32;

    /// What the event is about beyond its stream.
    ///
    /// # Errors
    /// [`EncodeError::Tag`] if a value can't be a tag.
    fn tags(&self) -> Result<Vec<Tag>, EncodeError> {
        Ok(Vec::new())
    }

    /// Writes the event's data.
    ///
    /// # Errors
    /// [`EncodeError::Data`] if it can't be written as JSON.
    fn encode(&self) -> Result<Payload, EncodeError>;

    /// Reads an event of this family.
    ///
    /// # Errors
    /// [`DecodeError`] says which of type, version or data doesn't fit.
    fn decode(event_type: &str, schema_version: u32, data: &Payload) -> Result<Self, DecodeError>;
}
