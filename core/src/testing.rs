//! Testing decisions: given what happened, when a command comes, then this follows.
//!
//! This module owns tests of aggregates, which need no store, no clock and no runtime, ids that come
//! out the same every time ([`ManualIds`]), and (with the feature `runtime`) `FaultyStore`, a store
//! that fails when a test wants it to. What a store or a read model does is tested against a real
//! one.
//!
//! ```
//! use highwater::testing::{given, given_nothing};
//! use highwater::{Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve};
//! use highwater::{emit, ensure, nothing};
//!
//! #[derive(Event, Debug, PartialEq)]
//! enum DoorEvent {
//!     #[event(name = "door.opened")]
//!     Opened,
//!     #[event(name = "door.locked")]
//!     Locked,
//! }
//!
//! #[derive(Debug, PartialEq, thiserror::Error)]
//! #[error("the door is locked")]
//! struct IsLocked;
//!
//! #[derive(Aggregate, Default, Clone)]
//! #[aggregate(category = "door", id = String, event = DoorEvent, rejection = IsLocked)]
//! struct Door {
//!     is_open: bool,
//!     is_locked: bool,
//! }
//!
//! #[derive(Command, Clone)]
//! #[command(aggregate = Door)]
//! struct Open(#[command(id)] String);
//!
//! impl Decide<Open> for Door {
//!     fn decide(&self, _: Open, _: &DecisionContext) -> Decision<Self> {
//!         ensure!(!self.is_locked, IsLocked);
//!         if self.is_open { nothing() } else { emit(DoorEvent::Opened) }
//!     }
//! }
//!
//! impl Evolve for Door {
//!     fn evolve(&mut self, event: &DoorEvent) {
//!         match event {
//!             DoorEvent::Opened => self.is_open = true,
//!             DoorEvent::Locked => self.is_locked = true,
//!         }
//!     }
//! }
//!
//! let open = || Open("front".to_owned());
//! given_nothing::<Door>().when(open()).then([DoorEvent::Opened]);
//! given::<Door>([DoorEvent::Locked]).when(open()).then_rejected(IsLocked);
//! // A test may go on: what followed has happened.
//! given_nothing::<Door>()
//!     .when(open())
//!     .then([DoorEvent::Opened])
//!     .when(open())
//!     .then_nothing();
//! ```

mod diff;
#[cfg(feature = "runtime")]
mod faulty_store;
mod golden;
mod manual_ids;
#[cfg(feature = "schema")]
mod schema_lock;

#[cfg(test)]
mod tests;

#[cfg(feature = "runtime")]
pub use faulty_store::{Fault, FaultyStore, ReadFault};
pub use golden::{Golden, golden};
pub use manual_ids::ManualIds;
#[cfg(feature = "schema")]
pub use schema_lock::check_schema_lock;

use std::any::type_name;
use std::fmt::Debug;
use std::slice;

use jiff::Timestamp;

use crate::{Command, CommandId, Decide, Decision, DecisionContext, Event, Evolve};

/// When decisions are made unless [`Given::at`] says otherwise: the first second of 2026 (UTC).
const SOME_DAY: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// Begins a test with an aggregate to which `events` have happened.
#[must_use]
pub fn given<A: Evolve>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut given = Given { state: A::default(), now: SOME_DAY };
    events.into_iter().for_each(|event| given.state.evolve(&event));
    given
}

/// Begins a test with an aggregate to which nothing has happened.
#[must_use]
pub fn given_nothing<A: Evolve>() -> Given<A> {
    given([])
}

/// An aggregate with a history, ready for a command.
#[derive(Clone, Debug)]
pub struct Given<A> {
    state: A,
    now: Timestamp,
}

impl<A: Evolve> Given<A> {
    /// The time at which the next commands are decided; the first second of 2026 (UTC) if
    /// not said.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        self.now = now;
        self
    }

    /// The aggregate as its events have made it.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    /// Lets the aggregate decide `command`.
    ///
    /// Decisions see the command's own id if it carries one, else always the same.
    #[must_use = "say what follows: `.then(…)`, `.then_nothing()` or `.then_rejected(…)`"]
    pub fn when<C>(self, command: C) -> Outcome<A>
    where
        C: Command<Aggregate = A>,
        A: Decide<C>,
    {
        let id = command
            .command_id()
            .unwrap_or_else(|| CommandId::from_key("highwater::testing", "command"));
        let decision = self.state.decide(command, &DecisionContext::new(self.now, id));
        let what = format!("{} on {}", short_name::<C>(), short_name::<A>());
        Outcome { given: self, what, decision }
    }
}

/// What an aggregate answered.
pub struct Outcome<A: Evolve> {
    given: Given<A>,
    what: String,
    decision: Decision<A>,
}

impl<A: Evolve> Outcome<A> {
    /// Exactly these events follow, in this order, and each would survive being stored.
    ///
    /// # Panics
    /// If not; the message shows the difference line by line.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Given<A>
    where
        A::Event: Debug + PartialEq,
    {
        let expected: Vec<_> = expected.into_iter().collect();
        let Self { mut given, what, decision } = self;
        let decided = match decision {
            Ok(decided) => decided,
            Err(rejection) => panic!(
                "{what} was rejected: {rejection} ({rejection:?})\nexpected events: {expected:#?}"
            ),
        };
        if decided != expected {
            let difference = diff::of(&expected, &decided);
            panic!("{what} led to other events than expected\n{difference}");
        }
        for event in &decided {
            check_is_storable(event, &what);
            given.state.evolve(event);
        }
        given
    }

    /// The command succeeds, and nothing needs to happen.
    ///
    /// # Panics
    /// If events follow, or the command is rejected.
    #[track_caller]
    pub fn then_nothing(self) -> Given<A>
    where
        A::Event: Debug,
    {
        let Self { given, what, decision } = self;
        match decision {
            Ok(decided) if decided.is_empty() => given,
            Ok(decided) => panic!("{what} should have led to nothing, but did to {decided:#?}"),
            Err(rejection) => {
                panic!(
                    "{what} should have led to nothing, but was rejected: {rejection} ({rejection:?})"
                )
            }
        }
    }

    /// The command is refused for exactly this reason.
    ///
    /// # Panics
    /// If events follow, or the reason is another; the message shows which.
    #[track_caller]
    pub fn then_rejected(self, expected: A::Rejection) -> Given<A>
    where
        A::Event: Debug,
        A::Rejection: PartialEq,
    {
        let Self { given, what, decision } = self;
        match decision {
            Err(rejection) if rejection == expected => given,
            Err(rejection) => {
                let difference = diff::of(&expected, &rejection);
                panic!("{what} was rejected for another reason than expected\n{difference}")
            }
            Ok(decided) => panic!(
                "{what} should have been rejected: {expected} ({expected:?})\n\
                 but led to {decided:#?}"
            ),
        }
    }
}

/// A decision is only as good as what can be read back of it.
#[track_caller]
fn check_is_storable<E: Event + Debug + PartialEq>(event: &E, what: &str) {
    if let Err(error) = event.tags() {
        panic!("{what} led to an event that can't be tagged: {error:?}\n{event:#?}");
    }
    let data = match event.encode() {
        Ok(data) => data,
        Err(error) => panic!("{what} led to an event that can't be stored: {error:?}\n{event:#?}"),
    };
    match E::decode(event.event_type(), event.schema_version(), &data) {
        Ok(read) if read.as_slice() == slice::from_ref(event) => {}
        Ok(read) => {
            let difference = match read.as_slice() {
                [read] => diff::of(event, read),
                others => diff::of(&slice::from_ref(event), &others),
            };
            panic!("{what} led to an event that storing would change\n{difference}");
        }
        Err(error) => panic!(
            "{what} led to an event that couldn't be read back: {error:?}\nstored: {}",
            data.as_json()
        ),
    }
}

/// The name of a type without its path.
fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    let without_arguments = name.split('<').next().unwrap_or(name);
    without_arguments.rsplit("::").next().unwrap_or(name)
}
