//! What becomes of unknown events, as far as it was recorded.

#![allow(unused_qualifications, reason = "the code is generated for another crate")]

use super::*;
use crate::Event;

#[derive(Event)]
#[event(crate = "crate", schema, unknown = "skip")]
enum SecondAndLenient {
    #[event(name = "order.placed", version = 2, upcast(from = 1, with = in_some_city))]
    Placed(PlacedInCity),
}

#[derive(Event)]
#[event(crate = "crate", schema, unknown = "skip")]
enum MoreAndLenient {
    #[event(name = "order.placed", version = 2, upcast(from = 1, with = more_in_some_city))]
    Placed(PlacedInCity),
    #[event(name = "order.lost")]
    Lost,
}

fn in_some_city(old: Placed) -> SecondAndLenient {
    let city = "unknown".to_owned();
    SecondAndLenient::Placed(PlacedInCity { customer: old.customer, city })
}

fn more_in_some_city(old: Placed) -> MoreAndLenient {
    let city = "unknown".to_owned();
    MoreAndLenient::Placed(PlacedInCity { customer: old.customer, city })
}

/// The record after a program has started on it.
fn kept(lock: &SchemaLock, schemas: &EventSchemas, compatibility: Compatibility) -> SchemaLock {
    let fresh = lock.to_keep(schemas, compatibility).unwrap();
    SchemaLock::of(lock.events().iter().cloned().chain(fresh))
}

#[test]
fn is_recorded_anew_when_only_it_changed() {
    let (fails, skips) = (EventSchemas::of::<Today>(), EventSchemas::of::<Lenient>());
    let full = Compatibility::Full;

    let lock = kept(&locked::<Today>(), &skips, full);
    more_is(&lock, true);
    assert!(lock.to_keep(&skips, full).unwrap().is_empty(), "it is recorded once");
    assert_eq!(lock.events()[0].shapes.len(), 1);

    let lock = kept(&lock, &fails, full);
    more_is(&lock, false);
    assert_eq!(lock, locked::<Today>());

    fn more_is(lock: &SchemaLock, is_compatible: bool) {
        let report = lock.compare(&EventSchemas::of::<More>());
        assert_eq!(report.is_compatible(Compatibility::Full), is_compatible, "{report}");
    }
}

#[test]
fn is_a_change_that_breaks_nothing() {
    let skips = EventSchemas::of::<Lenient>();
    let report = locked::<Today>().compare(&skips);
    assert!(report.is_compatible(Compatibility::Full), "{report}");
    let [change] = report.changes.as_slice() else { panic!("{report}") };
    assert_eq!((change.version, change.kind), (1, ChangeKind::Policy));
    assert!(locked::<Today>().with(&skips).compare(&skips).is_empty());
}

/// What programs of long ago did with an unknown event is nobody's business any more.
#[test]
fn is_that_of_the_last_program() {
    let lock = locked::<Today>().with(&EventSchemas::of::<SecondAndLenient>());
    let report = lock.compare(&EventSchemas::of::<MoreAndLenient>());
    assert!(report.is_compatible(Compatibility::Full), "{report}");
}
