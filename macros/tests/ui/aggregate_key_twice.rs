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
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection)]
#[aggregate(category = "purchase")]
struct Order;

fn main() {}
