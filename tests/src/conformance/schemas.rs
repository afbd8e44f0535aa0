//! What every store that keeps schemas promises: [`SchemaStore`]'s contract, one function each.

use std::sync::Arc;

use highwater::schema::{CheckedLog, Compatibility, EventSchemas, KeepSchemasError, SchemaStore};
use highwater::{
    Append, AppendError, Event, EventStore, ExpectedVersion, GlobalPosition, Highwater, NewEvent,
    StartError, StreamId,
};
use serde_json::json;

use Compatibility::{Backward, Full};

/// What the first release writes.
#[derive(Event)]
#[event(schema)]
enum First {
    #[event(name = "order.placed")]
    Placed { customer: String },
}

/// A field that may be missing: nobody is disturbed.
#[derive(Event)]
#[event(schema)]
enum WithNote {
    #[event(name = "order.placed")]
    Placed {
        customer: String,
        #[serde(default)]
        note: Option<String>,
    },
}

/// A field that must be there, under the same version.
#[derive(Event)]
#[event(schema)]
enum InCity {
    #[event(name = "order.placed")]
    Placed { customer: String, city: String },
}

/// The same in order: another version, and a way from the first.
#[derive(Event)]
#[event(schema)]
enum Second {
    #[event(name = "order.placed", version = 2, upcast(from = 1, with = from_first))]
    Placed { customer: String, city: String },
}

fn from_first(old: serde_json::Value) -> Second {
    let customer = old["customer"].as_str().unwrap_or_default().to_owned();
    Second::Placed { customer, city: "unknown".to_owned() }
}

/// As at first, only that unknown events are passed over.
#[derive(Event)]
#[event(schema, unknown = "skip")]
enum Lenient {
    #[event(name = "order.placed")]
    Placed { customer: String },
}

/// One type more.
#[derive(Event)]
#[event(schema)]
enum More {
    #[event(name = "order.placed")]
    Placed { customer: String },
    #[event(name = "order.lost")]
    Lost,
}

/// Somebody else's events in the same log.
#[derive(Event)]
#[event(schema)]
enum Foreign {
    #[event(name = "parcel.sent")]
    Sent { weight_grams: u32 },
}

/// Makes each promise a test under the adapter's name; `$log` is a fresh [`LogFactory`].
///
/// [`LogFactory`]: super::log::LogFactory
#[macro_export]
macro_rules! enrol_schemas {
    ($name:ident, $log:expr) => {
        mod $name {
            use super::*;
            use highwater_tests::conformance::schemas as promises;

            $crate::enrol_schemas!(@each $log,
                what_is_kept_comes_back_as_it_was,
                shapes_of_a_version_add_up,
                what_breaks_is_refused_and_adds_nothing,
                another_policy_for_unknown_events_is_kept,
                an_older_program_is_refused_behind_a_newer_one,
                events_of_others_disturb_nobody,
                an_application_that_breaks_does_not_start,
                a_checked_log_stores_all_of_an_append_or_nothing
            );

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn of_rivals_that_break_each_other_one_is_kept() {
                for _ in 0..3 {
                    let log = $log;
                    promises::of_rivals_that_break_each_other_one_is_kept(log.open().await).await;
                }
            }
        }
    };
    (@each $log:expr, $($promise:ident),+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let log = $log;
                promises::$promise(log.open().await).await;
            }
        )+
    };
}

fn first() -> EventSchemas {
    EventSchemas::of::<First>()
}

async fn kept_types(store: &dyn SchemaStore) -> Vec<(String, u32, usize)> {
    let kept = store.kept().await.unwrap();
    let told = kept.events().iter();
    told.map(|it| (it.event_type.clone(), it.version, it.shapes.len())).collect()
}

fn placed(version: u32, shapes: usize) -> (String, u32, usize) {
    ("order.placed".to_owned(), version, shapes)
}

/// What was kept comes back as it was, and keeping it again adds nothing.
pub async fn what_is_kept_comes_back_as_it_was(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    assert!(kept_types(store).await.is_empty());
    for _ in 0..2 {
        store.keep(&first(), Backward).await.unwrap();
        assert_eq!(kept_types(store).await, [placed(1, 1)]);
    }
    let kept = store.kept().await.unwrap();
    assert_eq!(kept.events()[0].shapes[0], first().get("order.placed").unwrap().shape);
    assert!(kept.compare(&first()).is_empty());
}

/// Every shape that a version ever had is kept, in order.
pub async fn shapes_of_a_version_add_up(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    store.keep(&first(), Full).await.unwrap();
    store.keep(&EventSchemas::of::<WithNote>(), Full).await.unwrap();
    assert_eq!(kept_types(store).await, [placed(1, 2)]);
    let shapes = store.kept().await.unwrap().events()[0].shapes.clone();
    assert_eq!(shapes[0], first().get("order.placed").unwrap().shape);
    store.keep(&first(), Full).await.expect("the older program may still start");
    assert_eq!(kept_types(store).await, [placed(1, 2)]);
}

/// What breaks is refused with its reason, and nothing is added.
pub async fn what_breaks_is_refused_and_adds_nothing(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    store.keep(&first(), Backward).await.unwrap();
    let error = store.keep(&EventSchemas::of::<InCity>(), Backward).await.unwrap_err();
    let KeepSchemasError::Incompatible { event_type, version, first: found } = &error else {
        panic!("{error}");
    };
    assert_eq!((event_type.as_str(), *version, found.path.as_str()), ("order.placed", 1, "/city"));
    assert!(!error.is_retryable());
    assert_eq!(kept_types(store).await, [placed(1, 1)]);
    store.keep(&EventSchemas::of::<Second>(), Backward).await.expect("a new version");
    assert_eq!(kept_types(store).await, [placed(1, 1), placed(2, 1)]);
}

/// What the last program does with unknown events decides whether a new type disturbs it.
pub async fn another_policy_for_unknown_events_is_kept(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    let (lenient, more) = (EventSchemas::of::<Lenient>(), EventSchemas::of::<More>());
    store.keep(&lenient, Full).await.unwrap();
    store.keep(&first(), Full).await.unwrap();
    let error = store.keep(&more, Full).await.unwrap_err();
    assert!(matches!(error, KeepSchemasError::Incompatible { .. }), "{error}");
    store.keep(&lenient, Full).await.unwrap();
    assert_eq!(kept_types(store).await, [placed(1, 1)]);
    store.keep(&more, Full).await.expect("the last program skips it");
}

/// A program of before doesn't start on a log that a newer one writes to.
pub async fn an_older_program_is_refused_behind_a_newer_one(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    store.keep(&EventSchemas::of::<Second>(), Backward).await.unwrap();
    let error = store.keep(&first(), Backward).await.unwrap_err();
    assert!(matches!(error, KeepSchemasError::Incompatible { version: 2, .. }), "{error}");
}

/// Types that a program doesn't know are none of its business.
pub async fn events_of_others_disturb_nobody(store: Arc<dyn EventStore>) {
    let store = store.schemas().expect("it keeps schemas");
    store.keep(&first(), Full).await.unwrap();
    store.keep(&EventSchemas::of::<Foreign>(), Full).await.unwrap();
    store.keep(&first(), Full).await.unwrap();
    assert_eq!(kept_types(store).await.len(), 2);
}

/// Of programs that start at once and break each other one starts, and the others are refused: each
/// compares with what the one before it added.
pub async fn of_rivals_that_break_each_other_one_is_kept(store: Arc<dyn EventStore>) {
    let two_kinds = [first(), EventSchemas::of::<InCity>()];
    let rivals = two_kinds.into_iter().cycle().take(16).map(|schemas| {
        let store = store.clone();
        let keeping =
            async move { store.schemas().expect("it keeps schemas").keep(&schemas, Full).await };
        tokio::spawn(keeping)
    });
    let mut kept = 0;
    for rival in rivals.collect::<Vec<_>>() {
        match rival.await.unwrap() {
            Ok(()) => kept += 1,
            Err(KeepSchemasError::Incompatible { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(kept, 8, "all of one kind");
    let types = kept_types(store.schemas().expect("it keeps schemas")).await;
    assert_eq!(types, [placed(1, 1)]);
}

/// An application whose events break with the log's doesn't start, and says why.
pub async fn an_application_that_breaks_does_not_start(store: Arc<dyn EventStore>) {
    let builder = Highwater::builder(store.clone());
    let app = builder.event_schemas(first(), Backward).await.unwrap().start().unwrap();
    app.shutdown().await;
    let builder = Highwater::builder(store);
    let refused = builder.event_schemas(EventSchemas::of::<InCity>(), Backward).await;
    let Some(StartError::IncompatibleEvents { event_type, version, reason, .. }) = refused.err()
    else {
        panic!("it breaks");
    };
    assert_eq!((event_type.as_str(), version), ("order.placed", 1));
    assert!(reason.contains("requires it"), "{reason}");
}

/// Of an append with one event that isn't as its schema says, nothing is stored.
pub async fn a_checked_log_stores_all_of_an_append_or_nothing(store: Arc<dyn EventStore>) {
    let log = CheckedLog::new(store.clone(), first());
    let placed = |data| NewEvent::new("order.placed", &data).unwrap();
    let append = |events| {
        let stream = StreamId::new("order", 1).unwrap();
        log.append(Append::to(stream, ExpectedVersion::NoStream, events))
    };
    let (right, wrong) = (json!({ "customer": "ada" }), json!({ "customer": 7 }));
    let refused = append(vec![placed(right.clone()), placed(wrong)]).await;
    assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
    let mut of_another_version = placed(right.clone());
    of_another_version.schema_version = 2;
    let refused = append(vec![of_another_version]).await;
    assert!(matches!(refused, Err(AppendError::Refused { .. })), "{refused:?}");
    assert_eq!(store.high_water_mark().await.unwrap(), GlobalPosition::START);
    append(vec![placed(right.clone()), placed(right)]).await.expect("the stream isn't there yet");
    assert!(store.high_water_mark().await.unwrap() > GlobalPosition::START);
}
