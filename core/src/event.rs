//! What a type must offer to be stored as an event.

use crate::{Decoded, EventType, InvalidPayload, InvalidTag, Payload, RawEvent, Tag};

/// An event couldn't be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The data can't be written as JSON.
    #[error("could not write the data of event {event_type}")]
    Data {
        /// The event's type.
        event_type: EventType,
        /// What JSON says.
        #[source]
        source: InvalidPayload,
    },
    /// A tagged field has a value that can't be a tag.
    #[error("could not tag event {event_type}")]
    Tag {
        /// The event's type.
        event_type: EventType,
        /// What is wrong with the tag.
        #[source]
        source: InvalidTag,
    },
    /// It was read without being known, so nobody can say what appending it again would mean.
    #[error("event {event_type} was read raw, and a raw event can't be appended: give it a type")]
    Raw {
        /// The event's type.
        event_type: EventType,
    },
}

/// A stored event couldn't be read as a given family of events.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The family has no event of this name.
    #[error("event type {event_type:?} version {schema_version} is not one of {family}")]
    UnknownType {
        /// The stored type.
        event_type: String,
        /// The stored version.
        schema_version: u32,
        /// The family that was asked for.
        family: &'static str,
    },
    /// The event has a shape that this program doesn't know: one of a newer program, or one older
    /// than the oldest for which there is an upcaster.
    #[error(
        "event type {event_type:?} has schema version {found}, which this program can't read: it \
         writes {known}"
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
    /// An upcaster made it an event of a type that the family doesn't declare for it, so queries by
    /// that type would miss it.
    #[error(
        "event type {event_type:?} version {schema_version} became {became:?} without being \
         declared to: name it in `into(…)`"
    )]
    Undeclared {
        /// The stored type.
        event_type: String,
        /// The stored version.
        schema_version: u32,
        /// The type that the upcaster made of it.
        became: String,
    },
}

/// The name and the versions of one event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventDescriptor {
    /// The name, such as `order.placed`.
    pub name: &'static str,
    /// The oldest schema version that is read.
    pub oldest: u32,
    /// The schema version that is written today.
    pub version: u32,
}

/// A name under which events are stored that today have another, several others, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormerType {
    /// The name in the log.
    pub name: &'static str,
    /// The oldest schema version under this name that is read.
    pub oldest: u32,
    /// The highest one.
    pub version: u32,
    /// The event types of today that its events are read as; none if the type was dropped.
    pub now: &'static [&'static str],
    /// True if the first of `now` is the same type under another name: both are read alike, version
    /// by version.
    pub is_renamed: bool,
}

/// What becomes of a stored event whose type, or whose newer version, a family doesn't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnknownEvents {
    /// Reading fails: nothing is decided or shown without knowing it.
    #[default]
    Fail,
    /// It is read as nothing.
    Skip,
    /// It is read as a [`RawEvent`].
    KeepRaw,
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
/// - `decode(event_type(), schema_version(), &encode()?)` MUST give exactly this event back.
/// - `event_type` MUST be one of `TYPES` (a raw event's aside), and a name MUST NOT be given to
///   another event later.
/// - An event stored under one name and read as another MUST be among `FORMER_TYPES`: queries find
///   it by that.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a family of events",
    label = "add `#[derive(Event)]` to this type",
    note = "every variant needs `#[event(name = \"thing.happened\")]`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every event type of the family, as it is written today.
    const TYPES: &'static [EventDescriptor];

    /// What is read besides: names of the past.
    const FORMER_TYPES: &'static [FormerType] = &[];

    /// What becomes of events that the family doesn't know; but see [`Event::unknown_of`].
    const UNKNOWN: UnknownEvents = UnknownEvents::Fail;

    /// What becomes of events of this type in a version that the family doesn't know. A type of an
    /// embraced family is that one's business, whatever the family around it says.
    #[must_use]
    fn unknown_of(_event_type: &str) -> UnknownEvents {
        Self::UNKNOWN
    }

    /// The name of this event's type.
    fn event_type(&self) -> &str;

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

    /// Reads an event of this family: one, or none if its type was dropped or skipped, or several
    /// if it was split.
    ///
    /// # Errors
    /// [`DecodeError`] says which of type, version or data doesn't fit.
    fn decode(
        event_type: &str,
        schema_version: u32,
        data: &Payload,
    ) -> Result<Decoded<Self>, DecodeError>;

    /// The event as it is stored, if the family has no type for it.
    fn as_raw(&self) -> Option<&RawEvent> {
        None
    }

    /// The names under which events of this family are stored: today's and former ones, without
    /// those that were dropped. It is what a reader of the family asks the log for.
    #[must_use]
    fn stored_names() -> Vec<&'static str> {
        let today = Self::TYPES.iter().map(|known| known.name);
        let former = Self::FORMER_TYPES.iter().filter(|former| !former.now.is_empty());
        let mut names: Vec<_> = today.collect();
        for former in former {
            if !names.contains(&former.name) {
                names.push(former.name);
            }
        }
        names
    }
}
