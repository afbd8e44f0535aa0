//! What `#[derive(Event)]` makes of an enum, seen by a user of the facade.

#![allow(clippy::unwrap_used)]

use highwater::{DecodeError, Decoded, EncodeError, Event, EventDescriptor, Payload};
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq)]
enum OrderEvent {
    #[event(name = "order.placed", version = 3)]
    #[event(upcast(from = 1, with = placed_from_v1), upcast(from = 2, with = placed_from_v2))]
    Placed {
        #[event(tag)]
        customer: String,
        #[event(tag = "channel")]
        source: u16,
        #[serde(rename = "cents", default, skip_serializing_if = "Option::is_none")]
        amount: Option<u64>,
        r#type: Kind,
    },
    #[event(name = "order.noted")]
    Noted(Note),
    #[event(name = "order.seen_by")]
    SeenBy(#[event(tag = "customer")] Customer),
    #[event(name = "order.emptied")]
    Emptied {},
    #[event(name = "order.cancelled")]
    Cancelled,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
enum Kind {
    Retail,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Note {
    text: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Customer {
    name: String,
}

impl std::fmt::Display for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[derive(Deserialize)]
struct PlacedV1 {
    buyer: String,
}

#[derive(Deserialize)]
struct PlacedV2 {
    customer: String,
}

fn placed_from_v1(old: PlacedV1) -> PlacedV2 {
    PlacedV2 { customer: old.buyer }
}

fn placed_from_v2(old: PlacedV2) -> OrderEvent {
    OrderEvent::Placed { customer: old.customer, source: 0, amount: None, r#type: Kind::Retail }
}

fn placed(amount: Option<u64>) -> OrderEvent {
    OrderEvent::Placed { customer: "ada".to_owned(), source: 7, amount, r#type: Kind::Retail }
}

fn json(text: &str) -> Payload {
    Payload::from_json(text.to_owned()).unwrap()
}

#[test]
fn every_event_survives_being_stored() {
    let events = [
        placed(Some(1_200)),
        placed(None),
        OrderEvent::Noted(Note { text: "fragile".to_owned() }),
        OrderEvent::SeenBy(Customer { name: "bob".to_owned() }),
        OrderEvent::Emptied {},
        OrderEvent::Cancelled,
    ];
    for event in events {
        let data = event.encode().unwrap();
        let read = OrderEvent::decode(event.event_type(), event.schema_version(), &data);
        assert_eq!(read.unwrap(), Decoded::one(event));
    }
}

#[test]
fn data_is_the_fields_as_an_object() {
    let data = |event: OrderEvent| event.encode().unwrap().as_json().to_owned();
    assert_eq!(data(placed(Some(5))), r#"{"customer":"ada","source":7,"cents":5,"type":"Retail"}"#);
    assert_eq!(data(placed(None)), r#"{"customer":"ada","source":7,"type":"Retail"}"#);
    assert_eq!(data(OrderEvent::Noted(Note { text: "x".to_owned() })), r#"{"text":"x"}"#);
    assert_eq!(data(OrderEvent::Emptied {}), "{}");
    assert_eq!(data(OrderEvent::Cancelled), "{}");
}

#[test]
fn types_list_each_name_with_the_version_that_is_written() {
    assert_eq!(
        OrderEvent::TYPES[0],
        EventDescriptor { name: "order.placed", oldest: 1, version: 3 }
    );
    assert_eq!(
        OrderEvent::TYPES[4],
        EventDescriptor { name: "order.cancelled", oldest: 1, version: 1 }
    );
    assert_eq!(OrderEvent::TYPES.len(), 5);
}

#[test]
fn tagged_fields_are_tags_under_their_own_or_the_given_name() {
    let tags = |event: OrderEvent| -> Vec<String> {
        event.tags().unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(tags(placed(None)), ["customer:ada", "channel:7"]);
    assert_eq!(tags(OrderEvent::SeenBy(Customer { name: "bob".to_owned() })), ["customer:bob"]);
    assert!(tags(OrderEvent::Cancelled).is_empty());
}

#[test]
fn a_value_that_is_no_tag_is_an_error_that_names_the_event() {
    let event = OrderEvent::SeenBy(Customer { name: String::new() });
    let error = event.tags().unwrap_err();
    assert!(
        matches!(&error, EncodeError::Tag { event_type, .. } if event_type.as_str() == "order.seen_by"),
        "{error}"
    );
}

#[test]
fn older_versions_are_read_through_their_upcasts() {
    let from_v1 = OrderEvent::decode("order.placed", 1, &json(r#"{"buyer":"ada"}"#)).unwrap();
    let from_v2 = OrderEvent::decode("order.placed", 2, &json(r#"{"customer":"ada"}"#)).unwrap();
    assert_eq!(from_v1, from_v2);
    let read = from_v1.into_one().unwrap();
    assert!(matches!(read, OrderEvent::Placed { customer, .. } if customer == "ada"));
}

#[test]
fn what_cannot_be_read_says_why() {
    let decode = |name, version, text| OrderEvent::decode(name, version, &json(text)).unwrap_err();
    assert!(matches!(
        decode("order.shipped", 1, "{}"),
        DecodeError::UnknownType { event_type, schema_version: 1, family: "OrderEvent" }
            if event_type == "order.shipped"
    ));
    assert!(matches!(
        decode("order.placed", 4, "{}"),
        DecodeError::UnknownVersion { found: 4, known: 3, .. }
    ));
    assert!(matches!(
        decode("order.cancelled", 0, "{}"),
        DecodeError::UnknownVersion { found: 0, known: 1, .. }
    ));
    for text in ["{}", "null", "[]", r#"{"text":1}"#] {
        let error = decode("order.noted", 1, text);
        assert!(matches!(error, DecodeError::Malformed { schema_version: 1, .. }), "{text}");
    }
    assert!(matches!(decode("order.cancelled", 1, "null"), DecodeError::Malformed { .. }));
}

#[test]
fn a_field_added_later_by_a_newer_program_is_passed_over() {
    let read = OrderEvent::decode("order.cancelled", 1, &json(r#"{"reason":"late"}"#));
    assert_eq!(read.unwrap().into_one(), Some(OrderEvent::Cancelled));
}

mod serde_attributes_of_the_enum_and_its_variants {
    use super::*;

    #[derive(Event, Debug, PartialEq)]
    #[serde(rename_all_fields = "camelCase")]
    enum Renamed {
        #[event(name = "renamed.all")]
        All { two_words: u8 },
        #[event(name = "renamed.this")]
        #[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
        This { word: u8 },
    }

    #[test]
    fn concern_the_fields() {
        assert_eq!(Renamed::All { two_words: 2 }.encode().unwrap().as_json(), r#"{"twoWords":2}"#);
        assert_eq!(Renamed::This { word: 2 }.encode().unwrap().as_json(), r#"{"WORD":2}"#);
        let read = Renamed::decode("renamed.this", 1, &json(r#"{"WORD":2,"more":3}"#));
        assert!(matches!(read, Err(DecodeError::Malformed { .. })));
    }

    /// A serde derive beside ours has the same helper attributes; neither takes the other's amiss.
    #[derive(Event, Serialize, Deserialize, Clone, Debug, PartialEq)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum AlsoSerde {
        #[event(name = "also.serde")]
        #[serde(rename = "yes", alias = "oui")]
        Yes {
            #[serde(with = "text")]
            number: u64,
        },
    }

    mod text {
        use serde::{Deserialize, Deserializer, Serializer};

        pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(&number.to_string())
        }

        pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
            String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
        }
    }

    #[test]
    fn live_beside_a_serde_derive() {
        let event = AlsoSerde::Yes { number: 4 };
        assert_eq!(event.encode().unwrap().as_json(), r#"{"number":"4"}"#);
        assert_eq!(serde_json::to_string(&event).unwrap(), r#"{"kind":"yes","number":"4"}"#);
    }
}

mod a_family_of_families {
    use super::*;

    #[derive(Event, Clone, Debug, PartialEq)]
    enum PaymentEvent {
        #[event(name = "payment.charged", version = 2, oldest = 2)]
        Charged {
            #[event(tag)]
            order: u8,
        },
    }

    #[derive(Event, Clone, Debug, PartialEq)]
    enum Seen {
        #[event(family)]
        Order(OrderEvent),
        #[event(name = "seen.itself")]
        Itself,
        #[event(family)]
        Payment(PaymentEvent),
    }

    #[derive(Event, Clone, Debug, PartialEq)]
    enum Both {
        #[event(family)]
        Seen(Seen),
    }

    #[test]
    fn has_the_types_of_all() {
        let names: Vec<_> = Both::TYPES.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), 7);
        assert!(
            ["order.placed", "seen.itself", "payment.charged"].iter().all(|n| names.contains(n))
        );
    }

    #[test]
    fn leaves_each_event_to_its_own_family() {
        let event = Both::Seen(Seen::Payment(PaymentEvent::Charged { order: 3 }));
        let data = event.encode().unwrap();
        assert_eq!((event.event_type(), event.schema_version()), ("payment.charged", 2));
        assert_eq!(event.tags().unwrap()[0].as_str(), "order:3");
        assert_eq!(Both::decode("payment.charged", 2, &data).unwrap(), Decoded::one(event));
        let itself = Seen::decode("seen.itself", 1, &json("{}"));
        assert_eq!(itself.unwrap(), Decoded::one(Seen::Itself));
    }

    #[test]
    fn says_what_it_does_not_know() {
        assert!(matches!(
            Both::decode("payment.charged", 3, &json("{}")),
            Err(DecodeError::UnknownVersion { found: 3, known: 2, .. })
        ));
        assert!(matches!(
            Both::decode("other", 1, &json("{}")),
            Err(DecodeError::UnknownType { family: "Both", .. })
        ));
    }
}

mod elsewhere {
    pub(super) mod renamed {
        pub(crate) use highwater::*;
    }
}

#[test]
fn highwater_may_be_found_elsewhere() {
    #[derive(Event)]
    #[event(crate = "crate::elsewhere::renamed")]
    enum Local {
        #[event(name = "local.done")]
        Done { count: u8 },
    }
    assert_eq!(Local::Done { count: 1 }.encode().unwrap().as_json(), r#"{"count":1}"#);
}

#[test]
fn a_family_without_events_reads_none() {
    #[derive(Event, Debug)]
    enum Never {}
    assert!(Never::TYPES.is_empty());
    assert!(Never::decode("any", 1, &json("{}")).is_err());
}
