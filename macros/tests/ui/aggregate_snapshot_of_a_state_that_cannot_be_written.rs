use highwater::{Aggregate, Event};

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct OrderRejection;

#[derive(Aggregate, Default, Clone)]
#[aggregate(
    category = "order",
    id = u64,
    event = OrderEvent,
    rejection = OrderRejection,
    snapshot(every = 100, version = 1)
)]
struct Order {
    is_placed: bool,
}

fn main() {}
