//! Ids that come out the same every time.
//!
//! Left out: ids of events that a command emits. They follow from the command's id.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::{CommandId, EventId};

/// In front of every command's number: `c0000000-0000-8000-8000-…`, a UUIDv8, which nobody else makes.
const COMMAND: u128 = 0xc000_0000_0000_8000_8000_0000_0000_0000;
/// In front of every event's number.
const EVENT: u128 = 0xe000_0000_0000_8000_8000_0000_0000_0000;

/// Numbers ids instead of drawing them: a test that is run again makes the same ones, and a failure
/// message can be read. Clones go on with the same numbers.
///
/// ```
/// use highwater::testing::ManualIds;
///
/// let ids = ManualIds::new();
/// assert_eq!(ids.command().to_string(), "c0000000-0000-8000-8000-000000000001");
/// assert_eq!(ids.command().to_string(), "c0000000-0000-8000-8000-000000000002");
/// assert_eq!(ids.event().to_string(), "e0000000-0000-8000-8000-000000000001");
/// assert_eq!(ids.event(), ManualIds::event_number(2));
/// ```
///
/// Give them to a [`CommandHandler`](crate::CommandHandler::with_command_ids), to
/// [`Boundaries`](crate::Boundaries::with_command_ids), or to events one by one
/// ([`NewEvent::with_id`](crate::NewEvent::with_id)).
#[derive(Clone, Debug, Default)]
pub struct ManualIds {
    commands: Arc<AtomicU64>,
    events: Arc<AtomicU64>,
}

impl ManualIds {
    /// Begins with number 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next command id.
    #[must_use]
    pub fn command(&self) -> CommandId {
        Self::command_number(self.commands.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The next event id, for an event that a test makes by itself.
    #[must_use]
    pub fn event(&self) -> EventId {
        Self::event_number(self.events.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// The command id of a number, whether it was made yet or not; of 48 bits at most, or it wraps.
    #[must_use]
    pub const fn command_number(number: u64) -> CommandId {
        CommandId::from_uuid(Uuid::from_u128(COMMAND | (number & LARGEST) as u128))
    }

    /// The event id of a number, whether it was made yet or not; of 48 bits at most, or it wraps.
    #[must_use]
    pub const fn event_number(number: u64) -> EventId {
        EventId::from_uuid(Uuid::from_u128(EVENT | (number & LARGEST) as u128))
    }
}

/// What fits into the last group of a UUID.
const LARGEST: u64 = (1 << 48) - 1;
