//! Events that no type has checked.

#![allow(unused_qualifications, reason = "the code is generated for another crate")]

use super::*;
use crate::{Event, NewEvent, Personal};

#[derive(Event)]
#[event(crate = "crate", schema)]
enum OrderEvent {
    #[event(name = "order.placed", version = 2, oldest = 2)]
    Placed {
        customer: Personal<String>,
        lines: Vec<Line>,
        #[serde(default)]
        note: Option<String>,
        channel: Channel,
    },
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Line {
    quantity: u8,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Channel {
    Web,
    Shop { city: String },
}

fn placed(change: impl FnOnce(&mut serde_json::Value)) -> NewEvent {
    let mut data = json!({
        "customer": { "$personal": { "subject": "ada", "value": "Ada" } },
        "lines": [{ "quantity": 255 }],
        "note": null,
        "channel": { "kind": "shop", "city": "Kiel" },
    });
    change(&mut data);
    let mut event = NewEvent::new("order.placed", &data).unwrap();
    event.schema_version = 2;
    event
}

fn wrong_at(change: impl FnOnce(&mut serde_json::Value)) -> String {
    match EventSchemas::of::<OrderEvent>().validate(&placed(change)) {
        Err(InvalidEvent::Data { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pass_if_they_are_as_the_schema_says() {
    let schemas = EventSchemas::of::<OrderEvent>();
    schemas.validate(&placed(|_| {})).unwrap();
    schemas.validate(&placed(|data| data["lines"] = json!([]))).unwrap();
    schemas.validate(&placed(|data| data["channel"] = json!({ "kind": "web" }))).unwrap();
    schemas.validate(&placed(|data| data["customer"] = json!({ "$sealed": "…" }))).unwrap();
    schemas.validate(&placed(|data| drop(data.as_object_mut().unwrap().remove("note")))).unwrap();
    schemas.validate(&NewEvent::new("somebody.elses", &1).unwrap()).unwrap();
}

#[test]
fn are_refused_with_the_place_of_what_is_wrong() {
    assert_eq!(wrong_at(|data| *data = json!([])), "");
    assert_eq!(wrong_at(|data| data["lines"] = json!("none")), "/lines");
    assert_eq!(wrong_at(|data| data["lines"][0]["quantity"] = json!(256)), "/lines/0/quantity");
    assert_eq!(wrong_at(|data| data["lines"][0]["quantity"] = json!(1.5)), "/lines/0/quantity");
    assert_eq!(wrong_at(|data| data["lines"][0] = json!({})), "/lines/0/quantity");
    assert_eq!(wrong_at(|data| data["note"] = json!(7)), "/note");
    assert_eq!(wrong_at(|data| data["channel"] = json!({ "kind": "sea" })), "/channel");
    let without =
        |data: &mut serde_json::Value| drop(data.as_object_mut().unwrap().remove("lines"));
    assert_eq!(wrong_at(without), "/lines");
}

#[test]
fn are_refused_in_another_version() {
    let event = NewEvent::new("order.placed", &1).unwrap();
    assert!(matches!(
        EventSchemas::of::<OrderEvent>().validate(&event),
        Err(InvalidEvent::Version { found: 1, written: 2, .. })
    ));
}

#[test]
fn what_is_wrong_is_told_without_the_data() {
    let event = placed(|data| data["channel"] = json!({ "kind": "secret" }));
    let error = EventSchemas::of::<OrderEvent>().validate(&event).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
}

#[test]
fn pass_with_every_integer_that_can_be_read_and_no_other() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum TallyEvent {
        #[event(name = "tallied")]
        Tallied { sum: i64, count: u128 },
    }
    let schemas = EventSchemas::of::<TallyEvent>();
    let check = |sum: &str, count: &str| {
        let text = format!(r#"{{"sum":{sum},"count":{count}}}"#);
        let data = Payload::from_json(text).unwrap();
        let is_read = TallyEvent::decode("tallied", 1, &data).is_ok();
        let mut event = NewEvent::new("tallied", &0).unwrap();
        event.data = data;
        assert_eq!(schemas.validate(&event).is_ok(), is_read, "{sum} {count}");
        is_read
    };
    assert!(check("9223372036854775807", "0"));
    assert!(check("-9223372036854775808", "18446744073709551616"));
    assert!(check("0", "340282366920938463463374607431768211455"));
    assert!(!check("9223372036854775808", "0"));
    assert!(!check("-9223372036854775809", "0"));
    assert!(!check("0", "-1"));
    assert!(!check("0", "-18446744073709551616"));
    assert!(!check("0", "1e40"));
    assert!(!check("0", "1.5"));
}

#[test]
fn are_refused_without_the_keys_of_their_maps() {
    #[derive(Event)]
    #[event(crate = "crate", schema)]
    enum MailEvent {
        #[event(name = "mail.counted")]
        #[serde(deny_unknown_fields)]
        Counted { by_address: std::collections::BTreeMap<String, Vec<u8>> },
    }
    let path = |data| {
        let event = NewEvent::new("mail.counted", &data).unwrap();
        match EventSchemas::of::<MailEvent>().validate(&event) {
            Err(InvalidEvent::Data { path, .. }) => path,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(path(json!({ "by_address": { "ada@x.org": [1, "2"] } })), "/by_address/*/1");
    assert_eq!(path(json!({ "by_address": {}, "ada@x.org": 1 })), "/*");
}

#[cfg(feature = "runtime")]
#[tokio::test]
async fn are_not_stored_by_a_checked_log() {
    use std::sync::Arc;

    use crate::{Append, AppendError, EventStore, ExpectedVersion, MemoryStore, StreamId};

    let inner = Arc::new(MemoryStore::new());
    let log = CheckedLog::new(inner.clone(), EventSchemas::of::<OrderEvent>());
    let append =
        |event| Append::to(StreamId::new("order", "7").unwrap(), ExpectedVersion::Any, vec![event]);
    let refused = log.append(append(placed(|data| data["lines"] = json!(1)))).await;
    assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
    assert_eq!(inner.high_water_mark().await.unwrap(), crate::GlobalPosition::START);
    // A vault below would have sealed it.
    let sealed = placed(|data| data["customer"] = json!({ "$sealed": "…" }));
    log.append(append(NewEvent::new("somebody.elses", &1).unwrap())).await.unwrap();
    assert!(EventSchemas::of::<OrderEvent>().validate(&sealed).is_ok());
}
