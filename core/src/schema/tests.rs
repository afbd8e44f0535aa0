//! Schemas derived from real types: what they say, and what a change of the type means.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{EventDescriptor, FormerType, Payload, UnknownEvents};

mod derived;
#[cfg(feature = "runtime")]
mod policy;
mod validated;

/// A family of which only the list counts.
macro_rules! family {
    ($name:ident, $policy:ident, [$($type:literal: $oldest:literal..=$version:literal as $shape:ty),*], $former:expr) => {
        struct $name;

        impl crate::Event for $name {
            const TYPES: &'static [EventDescriptor] = &[$(EventDescriptor {
                name: $type,
                oldest: $oldest,
                version: $version,
            }),*];
            const FORMER_TYPES: &'static [FormerType] = $former;
            const UNKNOWN: UnknownEvents = UnknownEvents::$policy;

            fn event_type(&self) -> &str {
                "none"
            }

            fn schema_version(&self) -> u32 {
                1
            }

            fn encode(&self) -> Result<Payload, crate::EncodeError> {
                Ok(Payload::from_value(&()).unwrap())
            }

            fn decode(_: &str, _: u32, _: &Payload) -> Result<crate::Decoded<Self>, crate::DecodeError> {
                Ok(crate::Decoded::none())
            }
        }

        impl DescribeEvents for $name {
            fn describe(schemas: &mut EventSchemas) {
                $(schemas.add::<$shape>($type, $version);)*
            }
        }
    };
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Placed {
    customer: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct PlacedWithNote {
    customer: String,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct PlacedInCity {
    customer: String,
    city: String,
}

family!(Today, Fail, ["order.placed": 1..=1 as Placed], &[]);
family!(Noted, Fail, ["order.placed": 1..=1 as PlacedWithNote], &[]);
family!(InCity, Fail, ["order.placed": 1..=1 as PlacedInCity], &[]);
family!(Second, Fail, ["order.placed": 1..=2 as PlacedInCity], &[]);
family!(SecondOnly, Fail, ["order.placed": 2..=2 as PlacedInCity], &[]);
family!(Lenient, Skip, ["order.placed": 1..=1 as Placed], &[]);
family!(More, Fail, ["order.lost": 1..=1 as Placed, "order.placed": 1..=1 as Placed], &[]);
family!(Renamed, Fail, ["sale.made": 1..=1 as Placed], &[FormerType {
    name: "order.placed",
    oldest: 1,
    version: 1,
    now: &["sale.made"],
    is_renamed: true,
}]);
family!(RenamedAndInCity, Fail, ["sale.made": 1..=1 as PlacedInCity], &[FormerType {
    name: "order.placed",
    oldest: 1,
    version: 1,
    now: &["sale.made"],
    is_renamed: true,
}]);
family!(RenamedBefore, Fail, ["sale.made": 1..=2 as PlacedInCity], &[FormerType {
    name: "order.placed",
    oldest: 1,
    version: 2,
    now: &["sale.made"],
    is_renamed: true,
}]);
family!(SplitIntoOne, Fail, ["sale.made": 1..=1 as PlacedInCity], &[FormerType {
    name: "order.placed",
    oldest: 1,
    version: 1,
    now: &["sale.made"],
    is_renamed: false,
}]);
family!(Dropped, Fail, ["sale.made": 1..=1 as Placed], &[FormerType {
    name: "order.placed",
    oldest: 0,
    version: u32::MAX,
    now: &[],
    is_renamed: false,
}]);
family!(Forgotten, Fail, ["sale.made": 1..=1 as Placed], &[]);

fn locked<E: DescribeEvents>() -> SchemaLock {
    SchemaLock::default().with(&EventSchemas::of::<E>())
}

/// What the step from `E` to `F` breaks: BACKWARD, FORWARD.
fn breaks<E: DescribeEvents, F: DescribeEvents>() -> (bool, bool) {
    let report = locked::<E>().compare(&EventSchemas::of::<F>());
    let breaks = |compatibility| !report.is_compatible(compatibility);
    assert_eq!(
        breaks(Compatibility::Full),
        breaks(Compatibility::Backward) || breaks(Compatibility::Forward)
    );
    (breaks(Compatibility::Backward), breaks(Compatibility::Forward))
}

#[test]
fn nothing_changed_is_an_empty_report() {
    assert!(locked::<Today>().compare(&EventSchemas::of::<Today>()).is_empty());
}

#[test]
fn a_field_with_a_default_breaks_nobody() {
    assert_eq!(breaks::<Today, Noted>(), (false, false));
    assert_eq!(breaks::<Noted, Today>(), (false, false));
}

#[test]
fn a_required_field_breaks_readers_of_the_log_under_the_same_version() {
    assert_eq!(breaks::<Today, InCity>(), (true, false));
    let report = locked::<Today>().compare(&EventSchemas::of::<InCity>());
    let told = report.to_string();
    for part in ["order.placed version 1", "breaks BACKWARD at /city", "upcast(from = 1"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn a_new_version_with_an_upcaster_breaks_only_programs_of_before() {
    assert_eq!(breaks::<Today, Second>(), (false, true));
    assert_eq!(breaks::<Lenient, Second>(), (false, false), "they skip what they don't know");
}

#[test]
fn a_version_without_an_upcaster_breaks_readers_of_the_log() {
    assert_eq!(breaks::<Today, SecondOnly>(), (true, true));
}

#[test]
fn an_older_program_breaks_on_what_a_newer_one_wrote() {
    let lock = locked::<Today>().with(&EventSchemas::of::<Second>());
    let report = lock.compare(&EventSchemas::of::<Today>());
    let (change, found) = report.breaks(Compatibility::Backward).next().unwrap();
    assert_eq!((change.version, change.kind), (2, ChangeKind::Removed));
    assert!(found.reason.contains("up to version 1"), "{found}");
    assert!(lock.compare(&EventSchemas::of::<Lenient>()).is_compatible(Compatibility::Full));
}

#[test]
fn a_new_type_breaks_programs_that_fail_on_unknown_ones() {
    assert_eq!(breaks::<Today, More>(), (false, true));
    assert_eq!(breaks::<Lenient, More>(), (false, false));
}

#[test]
fn a_type_that_is_gone_breaks_unless_it_was_renamed_or_dropped() {
    assert!(!breaks::<Today, Renamed>().0);
    assert!(!breaks::<Today, Dropped>().0);
    assert!(breaks::<Today, Forgotten>().0);
}

#[test]
fn a_renamed_type_still_reads_what_is_stored_under_its_former_name() {
    assert!(breaks::<Today, RenamedAndInCity>().0);
    let report = locked::<Today>().compare(&EventSchemas::of::<RenamedAndInCity>());
    let (change, found) = report.breaks(Compatibility::Backward).next().unwrap();
    assert_eq!((change.event_type.as_str(), found.path.as_str()), ("order.placed", "/city"));
    assert!(!breaks::<Today, RenamedBefore>().0, "an upcaster reads version 1");
    assert!(!breaks::<Today, SplitIntoOne>().0, "a function reads it");
}

/// Two harmless steps may add up to one that isn't: every shape that was ever written counts.
#[test]
fn a_shape_is_compared_with_all_before_it() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct PlacedOnChannel {
        customer: String,
        #[serde(default)]
        channel: String,
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct PlacedOnSomeChannel {
        customer: String,
        channel: String,
    }
    family!(Optional, Fail, ["order.placed": 1..=1 as PlacedOnChannel], &[]);
    family!(Required, Fail, ["order.placed": 1..=1 as PlacedOnSomeChannel], &[]);
    assert!(!breaks::<Today, Optional>().0, "it has a default");
    assert!(!breaks::<Optional, Required>().0, "the last program always writes it");
    let both = locked::<Today>().with(&EventSchemas::of::<Optional>());
    let report = both.compare(&EventSchemas::of::<Required>());
    assert!(!report.is_compatible(Compatibility::Backward), "the first one never did");
}

#[test]
fn the_text_of_a_lock_is_sorted_and_stable_and_can_be_read_back() {
    let one = locked::<More>();
    let other = locked::<Today>().with(&EventSchemas::of::<More>());
    assert_eq!(one.to_json(), other.to_json(), "however it came about");
    assert_eq!(SchemaLock::parse(&one.to_json()).unwrap(), one);
    let names: Vec<_> = one.events().iter().map(|event| &event.event_type).collect();
    assert_eq!(names, ["order.lost", "order.placed"]);
}

#[test]
fn a_text_that_is_no_lock_is_refused() {
    for text in ["", "[]", "{\"format\": 1}", "{\"format\": 1, \"events\": [{}]}"] {
        assert!(matches!(SchemaLock::parse(text), Err(InvalidSchemaLock::Malformed(_))), "{text}");
    }
    let newer = SchemaLock::parse("{\"format\": 2, \"events\": \"?\"}");
    assert!(matches!(newer, Err(InvalidSchemaLock::Format(2))));
}

#[test]
fn a_report_can_be_read_by_machines() {
    let report = locked::<Today>().compare(&EventSchemas::of::<InCity>());
    let told = serde_json::to_value(&report).unwrap();
    assert_eq!(told["changes"][0]["kind"], "changed");
    assert_eq!(told["changes"][0]["breaks"][0]["direction"], "BACKWARD");
    assert_eq!(told["changes"][0]["breaks"][0]["path"], "/city");
}

#[test]
fn the_lock_file_is_checked_written_and_never_breaks_silently() {
    let folder = std::env::temp_dir().join(format!("highwater-lock-{}", crate::EventId::new()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = SchemaLockFile::at(folder.join("events.lock.json"));
    let (today, in_city) = (EventSchemas::of::<Today>(), EventSchemas::of::<InCity>());
    let backward = Compatibility::Backward;
    assert!(matches!(file.check(&today, backward), Err(SchemaLockError::Outdated { .. })));
    assert_eq!(file.lock(&today, backward).unwrap().changes.len(), 1);
    file.check(&today, backward).unwrap();
    assert!(matches!(file.check(&in_city, backward), Err(SchemaLockError::Breaks { .. })));
    assert!(matches!(file.lock(&in_city, backward), Err(SchemaLockError::Breaks { .. })));
    file.check(&today, backward).expect("it is as it was");
    std::fs::write(file.path(), "nonsense").unwrap();
    assert!(matches!(file.check(&today, backward), Err(SchemaLockError::Invalid { .. })));
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(matches!(file.lock(&today, backward), Err(SchemaLockError::File { .. })));
}

#[test]
fn a_default_is_optional_to_read_and_always_written() {
    let schemas = EventSchemas::of::<Noted>();
    let shape = &schemas.get("order.placed").unwrap().shape;
    assert_eq!(shape.writes["required"], json!(["customer", "note"]));
    assert_eq!(shape.reads()["required"], json!(["customer"]));
}
