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
#[aggregate(category = "web-order", id = u64, event = OrderEvent, rejection = OrderRejection)]
struct Order;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "", id = u64, event = OrderEvent, rejection = OrderRejection)]
struct Invoice;

fn main() {}
