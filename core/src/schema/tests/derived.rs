//! What `#[event(schema)]` writes.

#![allow(unused_qualifications, reason = "the code is generated for another crate")]

use super::*;
use crate::Event;

#[derive(Event)]
#[event(crate = "crate", schema)]
enum OrderEvent {
    /// Words for people.
    #[event(name = "order.placed", version = 2, oldest = 2)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    Placed {
        /// More of them.
        #[event(tag)]
        customer_name: String,
        #[serde(with = "as_text")]
        #[schemars(with = "String")]
        cents: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    #[event(name = "order.noted")]
    Noted(Note),
    #[event(name = "order.cancelled")]
    Cancelled,
}

#[derive(Event)]
#[event(crate = "crate", schema)]
enum Everything {
    #[event(family)]
    Order(OrderEvent),
    #[event(name = "payment.made")]
    Paid { reason: Reason },
    #[event(raw)]
    Other(crate::RawEvent),
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    text: String,
}

/// Why.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Reason {
    /// Nobody said.
    Unknown,
    Said {
        words: String,
    },
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&number.to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[test]
fn the_data_is_described_as_serde_writes_it() {
    let schemas = EventSchemas::of::<OrderEvent>();
    let placed = schemas.get("order.placed").unwrap();
    assert_eq!(placed.version, 2);
    assert_eq!(
        placed.shape.writes,
        json!({
            "type": "object",
            "properties": {
                "customerName": { "type": "string" },
                "cents": { "type": "string" },
                "note": { "type": ["null", "string"] },
            },
            "required": ["cents", "customerName"],
            "additionalProperties": false,
        })
    );
    assert_eq!(schemas.get("order.noted").unwrap().shape.writes["required"], json!(["text"]));
    assert_eq!(schemas.get("order.cancelled").unwrap().shape.writes["type"], "object");
}

/// Without `default` the derive refuses the field: the schema would say the same, and serde wouldn't.
#[test]
fn an_option_read_by_a_function_may_be_missing_if_it_has_a_default() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum DebtEvent {
        #[event(name = "debt.made")]
        Made {
            #[serde(deserialize_with = "Option::deserialize", default)]
            cents: Option<u64>,
        },
    }
    let schemas = EventSchemas::of::<DebtEvent>();
    assert_eq!(schemas.get("debt.made").unwrap().shape.reads().get("required"), None);
    let empty = Payload::from_json("{}".to_owned()).unwrap();
    assert!(DebtEvent::decode("debt.made", 1, &empty).is_ok());
}

#[test]
fn families_inside_are_described_with_the_rest() {
    let schemas = EventSchemas::of::<Everything>();
    let names: Vec<_> = schemas.iter().map(|schema| schema.event_type.as_str()).collect();
    assert_eq!(names, ["order.cancelled", "order.noted", "order.placed", "payment.made"]);
    assert_eq!(schemas.unknown(), UnknownEvents::KeepRaw);
    let reason = &schemas.get("payment.made").unwrap().shape.writes["properties"]["reason"];
    assert_eq!(reason["oneOf"][0]["properties"]["kind"]["const"], "unknown");
    assert!(!reason.to_string().contains("Nobody said"), "words for people may change");
}

#[test]
fn a_new_reason_breaks_only_programs_of_before() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum PaymentEvent {
        #[event(name = "payment.made")]
        Paid { reason: MoreReasons },
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum MoreReasons {
        Unknown,
        Said { words: String },
        Guessed,
    }
    let before = locked::<Everything>();
    let payments = before.events().iter().filter(|event| event.event_type == "payment.made");
    let report = SchemaLock::of(payments.cloned()).compare(&EventSchemas::of::<PaymentEvent>());
    assert!(report.is_compatible(Compatibility::Backward), "{report}");
    let (_, found) = report.breaks(Compatibility::Forward).next().unwrap();
    assert!(found.reason.contains("guessed"), "{found}");
}

#[test]
fn a_rename_with_another_shape_breaks_what_is_stored_under_the_old_name() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum RenamedEvent {
        #[event(name = "sale.made", renamed_from = "order.placed")]
        Made { customer: String, city: String },
    }
    let stored = Payload::from_json(r#"{"customer":"ada"}"#.to_owned()).unwrap();
    assert!(RenamedEvent::decode("order.placed", 1, &stored).is_err());
    let report = locked::<Today>().compare(&EventSchemas::of::<RenamedEvent>());
    assert!(!report.is_compatible(Compatibility::Backward), "{report}");
}

#[test]
fn a_marker_of_personal_data_is_not_taken_away_unseen() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum Careful {
        #[event(name = "customer.named")]
        Named { name: crate::Personal<String> },
    }
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum Careless {
        #[event(name = "customer.named")]
        Named { name: String },
    }
    let report = locked::<Careful>().compare(&EventSchemas::of::<Careless>());
    let mut breaks = report.breaks(Compatibility::Backward);
    assert!(breaks.any(|(_, found)| found.reason.contains("personal data") && found.is_certain));
}
