//! What becomes of old events: chains, renamed, dropped and split types, unknown ones.

#![allow(clippy::unwrap_used)]

use highwater::testing::golden;
use highwater::{
    DecodeError, Decoded, EncodeError, Event, EventQuery, FormerType, NewEvent, Payload, Query,
    RawEvent, UnknownEvents, event_query,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq)]
#[event(dropped("order.viewed", "order.admired"))]
#[event(split(
    name = "order.checked_out",
    version = 2,
    upcast(from = 1, with = checked_out_v1_to_v2),
    with = split_checked_out,
    into("order.placed", "payment.requested"),
))]
enum OrderEvent {
    #[event(name = "order.placed", version = 3, renamed_from = "order.created")]
    #[event(upcast(from = 1, with = placed_v1_to_v2), upcast(from = 2, with = placed_v2_to_v3))]
    Placed {
        #[event(tag)]
        customer: String,
        lines: Vec<Line>,
    },
    #[event(name = "payment.requested", version = 2)]
    #[event(upcast(from = 1, with = requested_v1, into("payment.requested", "payment.noted")))]
    PaymentRequested { cents: u64 },
    #[event(name = "payment.noted", version = 5, oldest = 4, upcast(from = 4, with = Some::<OrderEvent>))]
    PaymentNoted,
}

// An upcaster may also read the whole of today's data under an old number.
impl<'de> Deserialize<'de> for OrderEvent {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Self::PaymentNoted)
    }
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Line {
    product: String,
    quantity: u32,
}

/// One product, by its name.
#[derive(Deserialize)]
struct PlacedV1 {
    buyer: String,
    product: String,
}

/// Several products, one each.
#[derive(Deserialize)]
struct PlacedV2 {
    customer: String,
    products: Vec<String>,
}

fn placed_v1_to_v2(old: PlacedV1) -> PlacedV2 {
    PlacedV2 { customer: old.buyer, products: vec![old.product] }
}

fn placed_v2_to_v3(old: PlacedV2) -> OrderEvent {
    let line = |product| Line { product, quantity: 1 };
    let lines = old.products.into_iter().map(line).collect();
    OrderEvent::Placed { customer: old.customer, lines }
}

/// An old shape without a struct of its own.
fn checked_out_v1_to_v2(old: serde_json::Value) -> CheckedOutV2 {
    CheckedOutV2 { customer: old["who"].as_str().unwrap_or("nobody").to_owned(), cents: 100 }
}

#[derive(Deserialize)]
struct CheckedOutV2 {
    customer: String,
    cents: u64,
}

fn split_checked_out(old: CheckedOutV2) -> [OrderEvent; 2] {
    [
        OrderEvent::Placed { customer: old.customer, lines: Vec::new() },
        OrderEvent::PaymentRequested { cents: old.cents },
    ]
}

fn requested_v1(old: Vec<u64>) -> Vec<OrderEvent> {
    let mut events: Vec<_> =
        old.iter().map(|cents| OrderEvent::PaymentRequested { cents: *cents }).collect();
    if old.len() > 2 {
        events.push(OrderEvent::PaymentNoted);
    }
    events
}

fn json(text: &str) -> Payload {
    Payload::from_json(text.to_owned()).unwrap()
}

fn read(name: &str, version: u32, text: &str) -> Decoded<OrderEvent> {
    OrderEvent::decode(name, version, &json(text)).unwrap()
}

fn placed(products: &[&str]) -> OrderEvent {
    let line = |product: &&str| Line { product: (*product).to_owned(), quantity: 1 };
    OrderEvent::Placed { customer: "ada".to_owned(), lines: products.iter().map(line).collect() }
}

#[test]
fn a_chain_leads_through_every_version() {
    let v1 = read("order.placed", 1, r#"{"buyer":"ada","product":"pot"}"#);
    let v2 = read("order.placed", 2, r#"{"customer":"ada","products":["pot","cup"]}"#);
    assert_eq!(v1.into_one(), Some(placed(&["pot"])));
    assert_eq!(v2.into_one(), Some(placed(&["pot", "cup"])));
}

#[test]
fn a_renamed_type_is_read_under_both_names_in_every_version() {
    let v1 = read("order.created", 1, r#"{"buyer":"ada","product":"pot"}"#);
    assert_eq!(v1.into_one(), Some(placed(&["pot"])));
    let v3 = read("order.created", 3, r#"{"customer":"ada","lines":[]}"#);
    assert_eq!(v3.into_one(), Some(placed(&[])));
    assert_eq!(placed(&[]).event_type(), "order.placed", "it is written under the new one");
}

#[test]
fn a_dropped_type_is_read_as_nothing_whatever_it_holds() {
    assert!(read("order.viewed", 1, "{}").is_empty());
    assert!(read("order.admired", 9, "[1]").is_empty());
}

#[test]
fn a_split_type_is_read_as_several_events_in_order() {
    let requested = OrderEvent::PaymentRequested { cents: 100 };
    let v1 = read("order.checked_out", 1, r#"{"who":"ada"}"#);
    assert_eq!(v1.as_slice(), [placed(&[]), requested.clone()]);
    let v2 = read("order.checked_out", 2, r#"{"customer":"ada","cents":100}"#);
    assert_eq!(v2.as_slice(), [placed(&[]), requested]);
}

#[test]
fn a_version_may_be_split_too_into_any_number() {
    assert!(read("payment.requested", 1, "[]").is_empty());
    assert_eq!(
        read("payment.requested", 1, "[7]").into_one(),
        Some(OrderEvent::PaymentRequested { cents: 7 })
    );
    assert_eq!(read("payment.requested", 1, "[1,2,3]").as_slice()[3], OrderEvent::PaymentNoted);
}

#[test]
fn a_version_that_no_log_holds_needs_no_upcaster_and_is_not_read() {
    let read = |version| OrderEvent::decode("payment.noted", version, &json("{}"));
    assert_eq!(read(4).unwrap().into_one(), Some(OrderEvent::PaymentNoted));
    let error = read(3).unwrap_err();
    assert!(matches!(error, DecodeError::UnknownVersion { found: 3, known: 5, .. }), "{error}");
}

#[test]
fn an_old_shape_that_does_not_fit_its_version_is_malformed() {
    for (name, version) in [("order.placed", 1), ("order.created", 2), ("order.checked_out", 2)] {
        let error = OrderEvent::decode(name, version, &json("7")).unwrap_err();
        assert!(
            matches!(&error, DecodeError::Malformed { event_type, schema_version, .. }
                if event_type == name && *schema_version == version),
            "{error}"
        );
    }
}

#[test]
fn an_upcaster_makes_only_what_is_declared() {
    #[derive(Event, Debug)]
    enum Sly {
        #[event(name = "sly.one", version = 2, upcast(from = 1, with = other))]
        One,
        #[event(name = "sly.two")]
        Two,
    }
    fn other(_: serde_json::Value) -> Sly {
        Sly::Two
    }
    let error = Sly::decode("sly.one", 1, &json("{}")).unwrap_err();
    assert!(matches!(error, DecodeError::Undeclared { became, .. } if became == "sly.two"));
    assert!(Sly::decode("sly.one", 2, &json("{}")).unwrap().into_one().is_some());
}

#[test]
fn readers_ask_for_every_name_that_is_read_as_something() {
    assert_eq!(
        OrderEvent::stored_names(),
        [
            "order.placed",
            "payment.requested",
            "payment.noted",
            "order.created",
            "order.checked_out"
        ]
    );
    let former = |name| OrderEvent::FORMER_TYPES.iter().find(|former| former.name == name).unwrap();
    let FormerType { version, now, is_renamed, .. } = former("order.checked_out");
    assert_eq!((*version, *now), (2, &["order.placed", "payment.requested"][..]));
    assert!(!is_renamed && former("order.created").is_renamed);
    assert!(former("order.viewed").now.is_empty());
}

#[test]
fn a_query_by_a_type_finds_what_was_renamed_to_it_or_split_into_it() {
    let names = |query: EventQuery<OrderEvent>| -> Vec<String> {
        let query = Query::from(query.tagged("customer", "ada").unwrap());
        assert_eq!(query.items()[0].tags().len(), 1);
        query.items()[0].event_types().iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        names(event_query!(OrderEvent: "order.placed")),
        ["order.placed", "order.created", "order.checked_out"]
    );
    assert_eq!(
        names(event_query!(OrderEvent: "payment.noted")),
        ["payment.noted", "payment.requested"]
    );
    assert_eq!(names(EventQuery::all()).len(), 5);
}

/// How much was ordered and asked for, over all that was ever read.
#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    lines: usize,
    cents: u64,
}

impl highwater::Aggregate for Account {
    type Id = String;
    type Event = OrderEvent;
    type Rejection = std::fmt::Error;
    const CATEGORY: &'static str = "account";
}

impl highwater::Evolve for Account {
    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderEvent::Placed { lines, .. } => self.lines += lines.len(),
            OrderEvent::PaymentRequested { cents } => self.cents += cents,
            OrderEvent::PaymentNoted => {}
        }
    }
}

#[test]
fn old_events_of_every_kind_are_read_as_the_golden_files_say() {
    golden::<OrderEvent>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/chain"))
        .with([
            placed(&["pot"]),
            OrderEvent::PaymentRequested { cents: 7 },
            OrderEvent::PaymentNoted,
        ])
        .evolving::<Account>([])
        .check();
}

mod any_old_event {
    use highwater::Evolve;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A stored event of any type and version that is read.
    fn stored() -> impl Strategy<Value = (&'static str, u32, Value)> {
        let text = "\\PC{0,8}";
        let v1 = || (text, text).prop_map(|(who, what)| json!({ "buyer": who, "product": what }));
        let v2 = || {
            (text, prop::collection::vec(text, 0..4))
                .prop_map(|(who, what)| json!({ "customer": who, "products": what }))
        };
        let line = (text, any::<u32>());
        let line = line.prop_map(|(what, many)| json!({ "product": what, "quantity": many }));
        let v3 = (text, prop::collection::vec(line, 0..4))
            .prop_map(|(who, lines)| json!({ "customer": who, "lines": lines }));
        let names = prop_oneof![Just("order.placed"), Just("order.created")];
        prop_oneof![
            (names.clone(), v1()).prop_map(|(name, data)| (name, 1, data)),
            (names.clone(), v2()).prop_map(|(name, data)| (name, 2, data)),
            (names, v3).prop_map(|(name, data)| (name, 3, data)),
            text.prop_map(|who| ("order.checked_out", 1, json!({ "who": who }))),
            (text, any::<u64>()).prop_map(|(who, cents)| {
                ("order.checked_out", 2, json!({ "customer": who, "cents": cents }))
            }),
            prop::collection::vec(any::<u32>(), 0..5).prop_map(|all| (
                "payment.requested",
                1,
                json!(all)
            )),
            any::<u32>().prop_map(|page| ("order.viewed", page, json!({ "page": page }))),
        ]
    }

    fn state(events: &[OrderEvent]) -> Account {
        let mut account = Account::default();
        events.iter().for_each(|event| {
            if let OrderEvent::PaymentRequested { cents } = event {
                account.cents = account.cents.wrapping_add(*cents);
            } else {
                account.evolve(event);
            }
        });
        account
    }

    proptest! {
        /// What an old event is read as survives being stored anew, and means the same.
        #[test]
        fn upcast_then_evolve_is_stable((name, version, data) in stored()) {
            let data = Payload::from_value(&data).unwrap();
            let old = OrderEvent::decode(name, version, &data).unwrap();
            let mut today = Vec::new();
            for event in &old {
                let data = event.encode().unwrap();
                let read = OrderEvent::decode(event.event_type(), event.schema_version(), &data);
                today.extend(read.unwrap());
            }
            prop_assert_eq!(old.as_slice(), &today[..]);
            prop_assert_eq!(state(old.as_slice()), state(&today));
        }
    }
}

mod families_of_families {
    use super::*;

    #[derive(Event, Debug, PartialEq)]
    enum Other {
        #[event(name = "other.done", renamed_from = "other.finished")]
        Done,
    }

    #[derive(Event, Debug, PartialEq)]
    #[event(split(name = "both.happened", with = both, into("other.done", "order.placed")))]
    enum Both {
        #[event(family)]
        Order(OrderEvent),
        #[event(family)]
        Other(Other),
    }

    fn both((): ()) -> [Both; 2] {
        [Both::Other(Other::Done), Both::Order(placed(&[]))]
    }

    #[test]
    fn have_the_past_of_all() {
        let read = |name, text| Both::decode(name, 1, &json(text)).unwrap();
        assert_eq!(read("other.finished", "{}").into_one(), Some(Both::Other(Other::Done)));
        assert!(read("order.viewed", "{}").is_empty());
        assert_eq!(read("order.checked_out", r#"{"who":"ada"}"#).iter().count(), 2);
        assert_eq!(read("both.happened", "null").iter().count(), 2);
        assert_eq!(Both::stored_names().len(), 8);
    }
}

mod unknown {
    use super::*;

    #[derive(Event, Debug, PartialEq)]
    #[event(unknown = "skip")]
    enum Skips {
        #[event(name = "known.a", version = 2, oldest = 2)]
        A,
    }

    #[derive(Event, Clone, Debug, PartialEq)]
    enum Keeps {
        #[event(name = "known.a", version = 2, oldest = 2)]
        A,
        #[event(raw)]
        Other(RawEvent),
    }

    #[derive(Event, Clone, Debug, PartialEq)]
    enum Wraps {
        #[event(family)]
        Keeps(Keeps),
    }

    #[derive(Event, Debug, PartialEq)]
    #[event(unknown = "fail")]
    enum Fails {
        #[event(name = "known.a", version = 2, oldest = 2)]
        A,
    }

    #[test]
    fn events_are_skipped_if_that_is_declared() {
        assert_eq!(Skips::UNKNOWN, UnknownEvents::Skip);
        assert!(Skips::decode("other", 1, &json("{}")).unwrap().is_empty());
        assert!(Skips::decode("known.a", 3, &json("{}")).unwrap().is_empty(), "a newer version");
        assert!(Skips::decode("other", 1, &json("{}")).unwrap().is_unknown());
        assert!(Keeps::decode("other", 1, &json("{}")).unwrap().is_unknown());
        assert_eq!(Skips::decode("known.a", 2, &json("{}")).unwrap(), Decoded::one(Skips::A));
    }

    #[test]
    fn a_known_event_of_another_shape_or_below_the_oldest_is_never_skipped() {
        assert!(Skips::decode("known.a", 2, &json("7")).is_err());
        assert!(Skips::decode("known.a", 1, &json("{}")).is_err());
        assert!(Keeps::decode("known.a", 1, &json("{}")).is_err());
    }

    #[test]
    fn events_fail_by_default_with_their_type_and_version() {
        assert_eq!(
            (OrderEvent::UNKNOWN, Fails::UNKNOWN),
            (UnknownEvents::Fail, UnknownEvents::Fail)
        );
        let error = Fails::decode("other", 4, &json("{}")).unwrap_err().to_string();
        assert_eq!(error, "event type \"other\" version 4 is not one of Fails");
    }

    #[test]
    fn a_raw_event_is_exactly_what_was_read() {
        assert_eq!(Keeps::UNKNOWN, UnknownEvents::KeepRaw);
        let text = "{\"b\" : 1,   \"a\":2}";
        let read = Keeps::decode("known.a", 7, &json(text)).unwrap().into_one().unwrap();
        let Keeps::Other(raw) = &read else { panic!("{read:?}") };
        assert_eq!((raw.event_type().as_str(), raw.schema_version()), ("known.a", 7));
        assert_eq!((read.event_type(), read.schema_version()), ("known.a", 7));
        assert_eq!(read.encode().unwrap().as_json(), text);
        assert!(!format!("{read:?}").contains("\"b"), "its data may be personal");
    }

    #[test]
    fn a_raw_event_is_not_appended_by_accident() {
        let read = Keeps::decode("other", 1, &json("{}")).unwrap().into_one().unwrap();
        for error in [
            NewEvent::from_event(&read).unwrap_err(),
            NewEvent::from_event(&Wraps::Keeps(read.clone())).unwrap_err(),
        ] {
            let EncodeError::Raw { event_type } = &error else { panic!("{error}") };
            assert_eq!(event_type.as_str(), "other");
        }
        assert!(NewEvent::from_event(&Keeps::A).is_ok());
    }

    #[test]
    fn the_policy_for_unknown_types_is_that_of_the_whole() {
        assert!(Wraps::decode("other", 1, &json("{}")).is_err(), "nobody said that it is skipped");
        let newer = Wraps::decode("known.a", 3, &json("{}")).unwrap().into_one().unwrap();
        assert!(newer.as_raw().is_some(), "the family of a type knows best about its versions");
    }
}
