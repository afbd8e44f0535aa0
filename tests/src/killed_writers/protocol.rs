//! What a process that may die at any moment says of its work, one line of JSON each.
//!
//! It says what it means to append before it does, and what came of it afterwards. So whoever holds
//! the other end of the pipe knows, after `kill -9`, what was acknowledged and what is open.

use highwater::{
    Append, AppendCondition, CommandId, EventId, ExpectedVersion, GlobalPosition, NewEvent, Query,
    QueryItem, StreamId, StreamVersion, Tag,
};
use serde::{Deserialize, Serialize};

use super::tally::EVENTS_PER_COMMAND;
use crate::conformance::log::oracle;

/// One line of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Said {
    /// It is about to do this.
    Meant(Intent),
    /// It was told that the attempt is in the log.
    Acknowledged(Acknowledgement),
    /// It was told that the attempt appended nothing and never will.
    Refused(EventId),
    /// A reader was given a page.
    Read {
        /// The events on it.
        events: Vec<(GlobalPosition, EventId)>,
        /// How far the page said that it goes.
        read_to: GlobalPosition,
    },
    /// Something happened that nothing here gives cause for.
    Failed(String),
}

/// What a process was told of an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The id of the attempt's first event.
    pub attempt: EventId,
    /// Where the store says that its last event stands.
    pub position: GlobalPosition,
    /// Where the store says that its streams stand.
    pub heads: Vec<(StreamId, StreamVersion)>,
}

/// An attempt, as much of it as another process needs to make it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Intent {
    /// An append to one or several streams.
    Append {
        /// The parts.
        parts: Vec<Part>,
        /// What it was decided on, if it is conditional.
        known: Option<Known>,
    },
    /// A command under an id of its own.
    Command {
        /// The id.
        id: CommandId,
        /// The aggregate.
        tally: String,
    },
}

/// What goes behind one stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The stream.
    pub stream: StreamId,
    /// The version that it must stand at; any, if none.
    pub expected: Option<StreamVersion>,
    /// The events.
    pub ids: Vec<EventId>,
}

/// What a conditional append was decided on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Known {
    /// The tag that was asked about, and that the append brings.
    pub tag: Tag,
    /// How far the log had been read.
    pub read_to: GlobalPosition,
    /// The matches that were found.
    pub seen: Vec<GlobalPosition>,
}

impl Known {
    /// What the decision asked.
    #[must_use]
    pub fn query(&self) -> Query {
        Query::of(QueryItem::tagged([self.tag.clone()]))
    }

    fn condition(&self) -> AppendCondition {
        AppendCondition::new(self.query(), self.read_to)
    }

    /// As the oracle takes it.
    #[must_use]
    pub fn decision(&self) -> oracle::Decision {
        oracle::Decision { condition: self.condition(), seen: self.seen.clone() }
    }
}

impl Intent {
    /// The ids of all its events.
    #[must_use]
    pub fn ids(&self) -> Vec<EventId> {
        match self {
            Self::Append { parts, .. } => parts.iter().flat_map(|part| part.ids.clone()).collect(),
            Self::Command { id, .. } => {
                (0..EVENTS_PER_COMMAND).map(|index| EventId::of_command(*id, index)).collect()
            }
        }
    }

    /// What the attempt is called: its first event.
    #[must_use]
    pub fn attempt(&self) -> EventId {
        self.ids()[0]
    }
}

/// The append of an intent, the same whenever it is built.
#[must_use]
pub fn append_of(parts: &[Part], known: Option<&Known>) -> Append {
    let event = |id: &EventId| {
        let event = NewEvent::new("raced", &id).expect("an id is JSON").with_id(*id);
        known.iter().fold(event, |event, known| event.with_tag(known.tag.clone()))
    };
    let mut parts = parts.iter().map(|part| {
        let expected = part.expected.map_or(ExpectedVersion::Any, ExpectedVersion::Exact);
        (part.stream.clone(), expected, part.ids.iter().map(event).collect())
    });
    let (stream, expected, events) = parts.next().expect("an append has a part");
    let append = Append::to(stream, expected, events);
    let append = parts
        .fold(append, |append, (stream, expected, events)| append.and_to(stream, expected, events));
    match known {
        Some(known) => append.with_condition(known.condition()),
        None => append,
    }
}
