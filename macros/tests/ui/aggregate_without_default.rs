use highwater::{Aggregate, Event};

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct OrderRejection;

#[derive(Aggregate, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection)]
struct Order;

fn main() {}
