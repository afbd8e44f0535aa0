use highwater::{Aggregate, Command, Event};

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
struct Order;

#[derive(Command, Clone)]
struct CancelOrder {
    #[command(id)]
    order: u64,
}

fn main() {}
