//! What `#[derive(Command)]` and `#[derive(Aggregate)]` make of a type.

use highwater::{Aggregate, Command, CommandId, Event, stream_of};

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
