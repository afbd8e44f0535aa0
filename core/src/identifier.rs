//! Identifiers that are UUIDs: of events, of commands, of the flow that they belong to.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a fresh identifier (UUIDv7: later ones sort behind earlier ones).
            #[must_use]
            #[allow(clippy::new_without_default)] // a default that differs each time would surprise
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Takes an identifier that was made elsewhere, of any UUID version.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The identifier as a UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_identifier! {
    /// Identifies one event for ever: in the log, on the bus, in every inbox.
    ///
    /// The log holds an event id at most once, which is how a repeated append is recognised.
    EventId
}

uuid_identifier! {
    /// Identifies one intent to change something; repeating a command repeats its id.
    CommandId
}

uuid_identifier! {
    /// Ties together everything that one request set in motion.
    CorrelationId
}

impl EventId {
    /// The id of the event that `command` emits at `index`: the same inputs give the same id, so a
    /// command that is carried out twice collides with itself instead of doubling its events.
    #[must_use]
    pub fn of_command(command: CommandId, index: usize) -> Self {
        Self(Uuid::new_v5(&command.0, &index.to_be_bytes()))
    }
}

impl CommandId {
    /// Derives an id from a caller's idempotency key: the same `scope` and `key` give the same id.
    #[must_use]
    pub fn from_key(scope: &str, key: &str) -> Self {
        let scope = Uuid::new_v5(&Uuid::NAMESPACE_OID, scope.as_bytes());
        Self(Uuid::new_v5(&scope, key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_of_a_command_is_stable_and_differs_by_index() {
        let command = CommandId::new();
        assert_eq!(EventId::of_command(command, 0), EventId::of_command(command, 0));
        assert_ne!(EventId::of_command(command, 0), EventId::of_command(command, 1));
    }

    #[test]
    fn a_key_gives_one_command_id_per_scope() {
        assert_eq!(CommandId::from_key("http", "a"), CommandId::from_key("http", "a"));
        assert_ne!(CommandId::from_key("http", "a"), CommandId::from_key("saga", "a"));
    }

    #[test]
    fn fresh_event_ids_sort_in_the_order_of_their_making() {
        let first = EventId::new();
        let second = EventId::new();
        assert!(first < second);
    }
}
