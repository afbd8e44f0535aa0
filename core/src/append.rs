//! What is appended in one go, and what comes of it.

use jiff::Timestamp;

use crate::{
    AppendCondition, EventId, ExpectedVersion, GlobalPosition, NewEvent, NotSealed, RecordedEvent,
    StreamId, StreamVersion,
};

/// The most bytes that the data of one append may have, over all of its events.
const MAX_APPEND_BYTES: usize = 8 * 1024 * 1024;
/// The most events in one append.
const MAX_APPEND_EVENTS: usize = 10_000;

/// The type of the event that ends a stream. Its data is `null`, and nothing is ever appended behind
/// it.
pub const TOMBSTONE_TYPE: &str = "highwater.tombstone";

/// Why an append can't be carried out by any store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAppend {
    /// There is nothing to append.
    #[error("the append holds no event")]
    Empty,
    /// One stream stands in it twice: its events belong into one part.
    #[error("stream {0} stands in the append twice")]
    StreamTwice(StreamId),
    /// One event id stands in it twice.
    #[error("event id {0} stands in the append twice")]
    EventIdTwice(EventId),
    /// An event stands behind the one that ends its stream.
    #[error("an event of the append stands behind the tombstone of stream {0}")]
    BehindTombstone(StreamId),
    /// Too many events for one transaction.
    #[error("the append holds {events} events; at most {MAX_APPEND_EVENTS} are allowed")]
    TooManyEvents {
        /// How many there are.
        events: usize,
    },
    /// Too much data for one transaction.
    #[error("the append holds {bytes} bytes of data; at most {MAX_APPEND_BYTES} are allowed")]
    TooLarge {
        /// How many bytes there are.
        bytes: usize,
    },
    /// Personal data in plain text: the store has no vault in front of it that would seal it.
    #[error(
        "event {event} holds personal data in plain text; append it through a vault \
         (`Highwater::builder(…).personal_data(vault)`)"
    )]
    UnsealedPersonalData {
        /// The event.
        event: EventId,
    },
    /// The data uses a key of ours for something else, or a personal value shares an object with
    /// other fields (`serde(flatten)` and internally tagged enums do that).
    #[error(
        "event {event} uses the key {key:?} in another way than `Personal` does; it is reserved"
    )]
    ReservedKey {
        /// The event.
        event: EventId,
        /// The key.
        key: &'static str,
    },
    /// A new value of a subject that was forgotten: there is no key for it any more.
    #[error("event {event} holds a new value of a subject that was forgotten")]
    SubjectForgotten {
        /// The event.
        event: EventId,
    },
}

/// The events that go behind one stream.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamId,
    /// What must be true of it.
    pub expected: ExpectedVersion,
    /// The events, in order; at least one.
    pub events: Vec<NewEvent>,
}

impl StreamAppend {
    fn goes_on_behind_tombstone(&self) -> bool {
        let last = self.events.len().saturating_sub(1);
        self.events[..last].iter().any(|event| event.event_type.as_str() == TOMBSTONE_TYPE)
    }
}

/// Events that are appended together or not at all, to one or several streams.
///
/// An append is built once, checked once, and immutable afterwards, so that it can be retried as
/// it is: the event ids make the retry recognisable.
#[derive(Clone, Debug)]
pub struct Append {
    streams: Vec<StreamAppend>,
    condition: Option<AppendCondition>,
}

impl Append {
    /// Appends `events` to `stream` if it stands where `expected` says.
    #[must_use]
    pub fn to(stream: StreamId, expected: ExpectedVersion, events: Vec<NewEvent>) -> Self {
        Self { streams: vec![StreamAppend { stream, expected, events }], condition: None }
    }

    /// Appends `events` to `stream` as well, in the same transaction.
    #[must_use]
    pub fn and_to(
        mut self,
        stream: StreamId,
        expected: ExpectedVersion,
        events: Vec<NewEvent>,
    ) -> Self {
        self.streams.push(StreamAppend { stream, expected, events });
        self
    }

    /// Adds a condition over the whole log.
    #[must_use]
    pub fn with_condition(mut self, condition: AppendCondition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// The parts, one per stream.
    #[must_use]
    pub fn streams(&self) -> &[StreamAppend] {
        &self.streams
    }

    /// The condition over the whole log, if there is one.
    #[must_use]
    pub fn condition(&self) -> Option<&AppendCondition> {
        self.condition.as_ref()
    }

    /// All events, in the order in which they get their positions.
    pub fn events(&self) -> impl Iterator<Item = &NewEvent> {
        self.streams.iter().flat_map(|part| &part.events)
    }

    /// How many events there are.
    #[must_use]
    pub fn event_count(&self) -> usize {
        self.streams.iter().map(|part| part.events.len()).sum()
    }

    /// How many bytes of data there are.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.events().map(|event| event.data.size_bytes()).sum()
    }

    /// Takes it apart, for a store that puts it together again in other words.
    #[cfg(feature = "runtime")]
    pub(crate) fn into_parts(self) -> (Vec<StreamAppend>, Option<AppendCondition>) {
        (self.streams, self.condition)
    }

    #[cfg(feature = "runtime")]
    pub(crate) fn from_parts(
        streams: Vec<StreamAppend>,
        condition: Option<AppendCondition>,
    ) -> Self {
        Self { streams, condition }
    }

    /// Checks what no store may accept.
    ///
    /// # Errors
    /// [`InvalidAppend`] says what is wrong.
    pub fn validate(&self) -> Result<(), InvalidAppend> {
        if self.streams.is_empty() || self.streams.iter().any(|part| part.events.is_empty()) {
            return Err(InvalidAppend::Empty);
        }
        if let Some(part) = self.streams.iter().find(|part| part.goes_on_behind_tombstone()) {
            return Err(InvalidAppend::BehindTombstone(part.stream.clone()));
        }
        self.validate_size()?;
        self.validate_uniqueness()?;
        self.validate_privacy()
    }

    /// What reaches a store is sealed: nobody writes personal data in plain text by forgetting the
    /// vault.
    fn validate_privacy(&self) -> Result<(), InvalidAppend> {
        for event in self.events() {
            event.data.check_sealed().map_err(|problem| match problem {
                NotSealed::Plain => InvalidAppend::UnsealedPersonalData { event: event.id },
                NotSealed::Reserved => {
                    InvalidAppend::ReservedKey { event: event.id, key: "$sealed" }
                }
            })?;
        }
        Ok(())
    }

    fn validate_size(&self) -> Result<(), InvalidAppend> {
        let (events, bytes) = (self.event_count(), self.size_bytes());
        if events > MAX_APPEND_EVENTS {
            return Err(InvalidAppend::TooManyEvents { events });
        }
        if bytes > MAX_APPEND_BYTES {
            return Err(InvalidAppend::TooLarge { bytes });
        }
        Ok(())
    }

    fn validate_uniqueness(&self) -> Result<(), InvalidAppend> {
        // The common append has one stream and one event: nothing to compare.
        if self.streams.len() > 1 {
            let mut streams: Vec<_> = self.streams.iter().map(|part| &part.stream).collect();
            streams.sort_unstable();
            if let Some(pair) = streams.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(InvalidAppend::StreamTwice(pair[0].clone()));
            }
        }
        if self.event_count() > 1 {
            let mut ids: Vec<_> = self.events().map(|event| event.id).collect();
            ids.sort_unstable();
            if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(InvalidAppend::EventIdTwice(pair[0]));
            }
        }
        Ok(())
    }
}

/// Where a stream stands after an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream.
    pub stream: StreamId,
    /// The version of the last event that the append gave it.
    pub version: StreamVersion,
}

/// What an append did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position of its last event: once a read model has reached it, it shows the append.
    pub position: GlobalPosition,
    /// When the store's clock recorded it: [`RecordedEvent::recorded_at`] of its events.
    pub recorded_at: Timestamp,
    /// The new version of each stream, in the append's order.
    pub heads: Vec<StreamHead>,
    /// True if the events were in the log already, put there by an earlier try of this append.
    pub was_repeated: bool,
}

impl Appended {
    /// Recognises an earlier try of `append` among the events `found` under its ids: every event
    /// must be there, in the stream that the append names. `None` if they are anything else.
    #[must_use]
    pub fn of_earlier_try(append: &Append, found: &[RecordedEvent]) -> Option<Self> {
        let recorded = |event: &NewEvent, part: &StreamAppend| {
            found.iter().find(|recorded| recorded.id == event.id && recorded.stream == part.stream)
        };
        let (mut position, mut recorded_at) = (GlobalPosition::START, Timestamp::MIN);
        let mut heads = Vec::with_capacity(append.streams.len());
        for part in &append.streams {
            let mut version = StreamVersion::EMPTY;
            for event in &part.events {
                let recorded = recorded(event, part)?;
                position = position.max(recorded.position);
                recorded_at = recorded_at.max(recorded.recorded_at);
                version = version.max(recorded.version);
            }
            heads.push(StreamHead { stream: part.stream.clone(), version });
        }
        Some(Self { position, recorded_at, heads, was_repeated: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Personal;

    fn event() -> NewEvent {
        NewEvent::new("tested", &()).unwrap()
    }

    fn stream(key: &str) -> StreamId {
        StreamId::new("test", key).unwrap()
    }

    #[test]
    fn what_no_store_may_accept_is_refused() {
        let any = ExpectedVersion::Any;
        let empty = Append::to(stream("a"), any, vec![]);
        assert_eq!(empty.validate(), Err(InvalidAppend::Empty));

        let twice =
            Append::to(stream("a"), any, vec![event()]).and_to(stream("a"), any, vec![event()]);
        assert_eq!(twice.validate(), Err(InvalidAppend::StreamTwice(stream("a"))));

        let same = event();
        let id_twice = Append::to(stream("a"), any, vec![same.clone()]).and_to(
            stream("b"),
            any,
            vec![same.clone()],
        );
        assert_eq!(id_twice.validate(), Err(InvalidAppend::EventIdTwice(same.id)));

        let ends = vec![NewEvent::new(TOMBSTONE_TYPE, &()).unwrap(), event()];
        let behind = Append::to(stream("a"), any, ends);
        assert_eq!(behind.validate(), Err(InvalidAppend::BehindTombstone(stream("a"))));

        let large = NewEvent::new("tested", &"x".repeat(MAX_APPEND_BYTES)).unwrap();
        let large = Append::to(stream("a"), any, vec![large]);
        assert!(matches!(large.validate(), Err(InvalidAppend::TooLarge { .. })));

        let secret = NewEvent::new("tested", &[Personal::of("somebody", 7)]).unwrap();
        let unsealed = Err(InvalidAppend::UnsealedPersonalData { event: secret.id });
        assert_eq!(Append::to(stream("a"), any, vec![event(), secret]).validate(), unsealed);
        let innocent = NewEvent::new("tested", &"{\"$personal\":{}}").unwrap();
        assert_eq!(Append::to(stream("a"), any, vec![innocent]).validate(), Ok(()));
    }
}
