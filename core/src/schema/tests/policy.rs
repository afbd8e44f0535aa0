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

mod of_an_embraced_family {
    use super::*;

    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum Strict {
        #[event(name = "order.placed")]
        Placed(Placed),
    }

    #[derive(Event)]
    #[event(crate = "crate", schema, unknown = "skip")]
    enum Lax {
        #[event(name = "payment.made", renamed_from = "payment.done")]
        Made,
    }

    #[derive(Event)]
    #[event(crate = "crate", schema, unknown = "skip")]
    enum LaxOverall {
        #[event(family)]
        Order(Strict),
        #[event(family)]
        Payment(Lax),
        #[event(name = "seen.noted")]
        Noted,
    }

    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum StrictOverall {
        #[event(family)]
        Inner(LaxOverall),
        #[event(name = "all.noted")]
        Noted,
    }

    fn check<E: DescribeEvents>() {
        let schemas = EventSchemas::of::<E>();
        let names =
            ["order.placed", "payment.made", "payment.done", "seen.noted", "all.noted", "x"];
        for (name, version) in names.into_iter().flat_map(|name| [(name, 1), (name, 2)]) {
            let data = Payload::from_json(r#"{"customer":"ada"}"#.to_owned()).unwrap();
            let is_read = E::decode(name, version, &data).is_ok();
            assert_eq!(schemas.gets_by_with(name, version), is_read, "{name} {version}");
        }
    }

    #[test]
    fn counts_for_its_types() {
        check::<LaxOverall>();
        check::<StrictOverall>();
        assert!(!EventSchemas::of::<LaxOverall>().gets_by_with("order.placed", 2));
        assert!(EventSchemas::of::<StrictOverall>().gets_by_with("payment.done", 2));
    }

    /// A new version goes to the embraced family, a new type to the one around it.
    #[test]
    fn is_recorded_with_its_types_and_so_is_a_stricter_one_around_it() {
        let fails = |lock: &SchemaLock| -> Vec<_> {
            let events = lock.events().iter().filter(|event| event.fails_on_unknown);
            events.map(|event| event.event_type.clone()).collect()
        };
        let lax = EventSchemas::of::<LaxOverall>();
        let lock = SchemaLock::default();
        assert_eq!(fails(&lock.with(&lax)), ["order.placed"]);
        let kept = kept(&lock, &lax, Compatibility::Full);
        assert_eq!(kept, lock.with(&lax));
        assert!(kept.to_keep(&lax, Compatibility::Full).unwrap().is_empty());
        assert!(kept.compare(&lax).is_empty());
        assert_eq!(fails(&locked::<StrictOverall>()).len(), 4);
    }
}
