//! What `#[derive(Command)]` and `#[derive(Aggregate)]` make of a type.

use highwater::{Aggregate, Command, CommandId, Event, stream_of};
use serde::{Deserialize, Serialize};

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct OrderRejection;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = String, event = OrderEvent, rejection = OrderRejection)]
enum Order {
    #[default]
    Blank,
}

#[derive(Command, Clone)]
#[command(aggregate = Order)]
struct Place {
    #[command(id)]
    order: String,
}

#[derive(Command, Clone)]
#[command(aggregate = Order)]
struct Repeatable(#[command(id)] String, #[command(idempotency_key)] CommandId);

#[derive(Command, Clone)]
#[command(aggregate = Order)]
struct PerhapsRepeatable<T: Clone + Send + Sync + 'static> {
    #[command(idempotency_key)]
    key: Option<CommandId>,
    #[command(id)]
    order: String,
    #[allow(dead_code)]
    note: T,
}

#[test]
fn an_aggregate_has_a_stream_per_id() {
    let Order::Blank = Order::default();
    assert_eq!(OrderEvent::Placed.event_type(), "order.placed");
    let stream = stream_of::<Order>(&"o-1".to_owned());
    assert_eq!(stream.expect("a valid id").as_str(), "order-o-1");
}

#[test]
fn a_command_names_its_target_and_its_key() {
    let key = CommandId::new();
    let (order, plain) = ("o-1".to_owned(), Place { order: "o-1".to_owned() });
    assert_eq!((plain.target(), plain.command_id()), (&order, None));
    let repeatable = Repeatable(order.clone(), key);
    assert_eq!((repeatable.target(), repeatable.command_id()), (&order, Some(key)));
    let mut perhaps = PerhapsRepeatable { key: None, order: order.clone(), note: 1 };
    assert_eq!((perhaps.target(), perhaps.command_id()), (&order, None));
    perhaps.key = Some(key);
    assert_eq!(perhaps.command_id(), Some(key));
}

#[derive(Aggregate, Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[aggregate(
    category = "order",
    id = String,
    event = OrderEvent,
    rejection = OrderRejection,
    snapshot(every = 100, every_bytes = 5_000, version = 3, keep = 4)
)]
struct KeptOrder {
    lines: Vec<u8>,
}

#[derive(Aggregate, Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[aggregate(
    category = "order",
    id = String,
    event = OrderEvent,
    rejection = OrderRejection,
    snapshot(every_bytes = 10, version = 1)
)]
struct BySize;

#[test]
fn an_aggregate_that_asks_for_snapshots_says_when_and_of_what() {
    let policy = KeptOrder::SNAPSHOTS.expect("it asks for them");
    let schema = policy.schema();
    assert_eq!((schema.name.as_ref(), schema.version), ("KeptOrder", 3));
    assert_eq!(policy.kept().get(), 4);
    assert!(policy.is_due(100, 0) && policy.is_due(1, 5_000) && !policy.is_due(99, 4_999));
    let order = KeptOrder { lines: vec![1, 2] };
    let written = policy.write(&order).expect("it can be written");
    assert_eq!(policy.read(&written).expect("it can be read"), order);
    let by_size = BySize::SNAPSHOTS.expect("it asks for them");
    assert!(by_size.is_due(1, 10) && !by_size.is_due(1_000, 9));
    assert_eq!(by_size.kept().get(), 2);
}

#[test]
fn an_aggregate_that_does_not_ask_has_none() {
    assert!(Order::SNAPSHOTS.is_none());
}
