//! A test kit that can't fail proves nothing: each way of failing, with its message.

use std::panic::{UnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    Aggregate, DecodeError, Decoded, EncodeError, EventDescriptor, InvalidTag, Payload, Tag,
    emit_all, nothing,
};

/// Written by hand: the core doesn't depend on its derives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counted {
    by: u64,
    #[serde(skip)]
    is_forgotten: bool,
    #[serde(skip_deserializing)]
    label: String,
}

impl Event for Counted {
    const TYPES: &'static [EventDescriptor] =
        &[EventDescriptor { name: "counted", oldest: 1, version: 1 }];

    fn event_type(&self) -> &'static str {
        "counted"
    }

    fn schema_version(&self) -> u32 {
        1
    }

    fn tags(&self) -> Result<Vec<Tag>, EncodeError> {
        let tagged = |source: InvalidTag| EncodeError::Tag { event_type: "counted".into(), source };
        Ok(vec![Tag::new("by", if self.by == 99 { "" } else { "some" }).map_err(tagged)?])
    }

    fn encode(&self) -> Result<Payload, EncodeError> {
        Payload::from_value(self)
            .map_err(|source| EncodeError::Data { event_type: "counted".into(), source })
    }

    fn decode(
        event_type: &str,
        schema_version: u32,
        data: &Payload,
    ) -> Result<Decoded<Self>, DecodeError> {
        data.to_value().map(Decoded::one).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            schema_version,
            source,
        })
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
enum CountRejection {
    #[error("the count would pass {0}")]
    TooFar(u64),
    #[error("too late")]
    TooLate,
}

#[derive(Clone, Debug, Default)]
struct Count(u64);

impl Aggregate for Count {
    const CATEGORY: &'static str = "count";
    type Id = u8;
    type Event = Counted;
    type Rejection = CountRejection;
}

impl Evolve for Count {
    fn evolve(&mut self, event: &Counted) {
        self.0 += event.by;
    }
}

#[derive(Clone)]
struct CountBy(u64);

impl Command for CountBy {
    type Aggregate = Count;

    fn target(&self) -> &u8 {
        &1
    }
}

impl Decide<CountBy> for Count {
    fn decide(&self, CountBy(by): CountBy, context: &DecisionContext) -> Decision<Self> {
        crate::ensure!(
            context.now < Timestamp::constant(2_000_000_000, 0),
            CountRejection::TooLate
        );
        crate::ensure!(self.0 + by <= 100, CountRejection::TooFar(100));
        match by {
            0 => nothing(),
            by => emit_all([counted(by)]),
        }
    }
}

fn counted(by: u64) -> Counted {
    Counted { by, is_forgotten: by == 98, label: String::new() }
}

fn failure(test: impl FnOnce() + UnwindSafe) -> String {
    let panic = catch_unwind(test).expect_err("the test passed");
    *panic.downcast::<String>().expect("the panic has a message")
}

#[test]
fn a_test_that_holds_passes_and_goes_on() {
    let given = given::<Count>([counted(40)])
        .when(CountBy(50))
        .then([counted(50)])
        .when(CountBy(11))
        .then_rejected(CountRejection::TooFar(100))
        .when(CountBy(0))
        .then_nothing();
    assert_eq!(given.state().0, 90);
}

#[test]
fn decisions_see_the_time_that_is_given() {
    let late = Timestamp::constant(2_000_000_000, 0);
    given_nothing::<Count>().at(late).when(CountBy(1)).then_rejected(CountRejection::TooLate);
}

#[test]
fn other_events_are_shown_line_by_line() {
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(2)).then([counted(3)]);
    });
    assert_eq!(
        message,
        "\
CountBy on Count led to other events than expected
(- expected, + actual)
  [
      Counted {
-         by: 3,
+         by: 2,
          is_forgotten: false,
          label: \"\",
      },
  ]
"
    );
}

#[test]
fn an_unexpected_rejection_is_shown_with_its_sentence() {
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(101)).then([counted(101)]);
    });
    assert!(
        message
            .starts_with("CountBy on Count was rejected: the count would pass 100 (TooFar(100))"),
        "{message}"
    );
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(101)).then_nothing();
    });
    assert!(message.contains("but was rejected: the count would pass 100"), "{message}");
}

#[test]
fn another_rejection_than_expected_is_shown() {
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(101)).then_rejected(CountRejection::TooLate);
    });
    assert!(message.contains("- TooLate\n+ TooFar(\n+     100,\n+ )"), "{message}");
}

#[test]
fn events_instead_of_a_rejection_or_of_nothing_are_shown() {
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(7)).then_rejected(CountRejection::TooLate);
    });
    assert!(message.contains("should have been rejected: too late (TooLate)"), "{message}");
    assert!(message.contains("by: 7"), "{message}");
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(7)).then_nothing();
    });
    assert!(message.contains("should have led to nothing, but did to"), "{message}");
}

#[test]
fn an_event_that_would_not_survive_being_stored_fails_the_test() {
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(98)).then([counted(98)]);
    });
    assert!(message.contains("storing would change"), "{message}");
    assert!(message.contains("-     is_forgotten: true,\n+     is_forgotten: false,"), "{message}");
    let message = failure(|| {
        given_nothing::<Count>().when(CountBy(99)).then([counted(99)]);
    });
    assert!(message.contains("can't be tagged"), "{message}");
}

#[test]
fn a_difference_keeps_what_is_common_together() {
    let difference = diff::of(&["a", "b", "c"], &["b", "c", "d"]);
    let lines: Vec<_> = difference.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "(- expected, + actual)",
            "  [",
            "-     \"a\",",
            "      \"b\",",
            "      \"c\",",
            "+     \"d\",",
            "  ]",
        ]
    );
}
