//! A sum with a limit. Its events carry what the decision saw, so a test can see on which state it
//! was made. Written by hand: the core doesn't depend on its derives.

use serde::{Deserialize, Serialize};

use crate::{
    Aggregate, Command, CommandId, Decide, Decision, DecisionContext, DecodeError, Decoded,
    EncodeError, Event, EventDescriptor, Evolve, Payload, StreamId, Tag, emit_all, ensure,
    stream_of,
};

/// No tally passes it.
pub(super) const LIMIT: u64 = 100;
/// An event with this number can't be written as JSON.
pub(super) const NOT_WRITABLE: u64 = 98;
/// An event with this number can't be tagged.
pub(super) const NOT_TAGGABLE: u64 = 99;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Added {
    pub(super) by: u64,
    /// The sum that the decision was made on.
    pub(super) seen: u64,
}

impl Event for Added {
    const TYPES: &'static [EventDescriptor] =
        &[EventDescriptor { name: "added", oldest: 1, version: 1 }];

    fn event_type(&self) -> &'static str {
        "added"
    }

    fn schema_version(&self) -> u32 {
        1
    }

    fn tags(&self) -> Result<Vec<Tag>, EncodeError> {
        match self.by {
            NOT_TAGGABLE => Tag::new("by", "")
                .map(|tag| vec![tag])
                .map_err(|source| EncodeError::Tag { event_type: "added".into(), source }),
            _ => Ok(Vec::new()),
        }
    }

    fn encode(&self) -> Result<Payload, EncodeError> {
        let written = match self.by {
            // JSON has no such key.
            NOT_WRITABLE => Payload::from_value(&std::collections::BTreeMap::from([((), 1)])),
            _ => Payload::from_value(self),
        };
        written.map_err(|source| EncodeError::Data { event_type: "added".into(), source })
    }

    fn decode(
        event_type: &str,
        schema_version: u32,
        data: &Payload,
    ) -> Result<Decoded<Self>, DecodeError> {
        match event_type {
            "added.dropped" => return Ok(Decoded::none()),
            "added.unknown" => return Ok(Decoded::none().marked_unknown()),
            _ => {}
        }
        if event_type != "added" {
            let event_type = event_type.to_owned();
            return Err(DecodeError::UnknownType { event_type, schema_version, family: "Added" });
        }
        data.to_value().map(Decoded::one).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            schema_version,
            source,
        })
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it stands at {seen}, the limit is {LIMIT}")]
pub(super) struct TooMuch {
    pub(super) seen: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) sum: u64,
}

impl Aggregate for Tally {
    const CATEGORY: &'static str = "tally";
    type Id = String;
    type Event = Added;
    type Rejection = TooMuch;
}

impl Evolve for Tally {
    fn evolve(&mut self, event: &Added) {
        self.sum += event.by;
    }
}

/// Adds each amount, in an event of its own.
#[derive(Clone, Debug)]
pub(super) struct Add {
    to: String,
    amounts: Vec<u64>,
    id: Option<CommandId>,
}

impl Add {
    pub(super) fn one(to: &str, amount: u64) -> Self {
        Self::each(to, [amount])
    }

    pub(super) fn each(to: &str, amounts: impl IntoIterator<Item = u64>) -> Self {
        Self { to: to.to_owned(), amounts: amounts.into_iter().collect(), id: None }
    }

    pub(super) fn under(mut self, id: CommandId) -> Self {
        self.id = Some(id);
        self
    }
}

impl Command for Add {
    type Aggregate = Tally;

    fn target(&self) -> &String {
        &self.to
    }

    fn command_id(&self) -> Option<CommandId> {
        self.id
    }
}

impl Decide<Add> for Tally {
    fn decide(&self, command: Add, _: &DecisionContext) -> Decision<Self> {
        let seen = self.sum;
        ensure!(seen + command.amounts.iter().sum::<u64>() <= LIMIT, TooMuch { seen });
        emit_all(command.amounts.into_iter().map(|by| Added { by, seen }))
    }
}

pub(super) fn stream(key: &str) -> StreamId {
    stream_of::<Tally>(&key.to_owned()).unwrap()
}
