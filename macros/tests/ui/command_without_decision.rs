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
#[command(aggregate = Order)]
struct CancelOrder {
    #[command(id)]
    order: u64,
}

impl highwater::Evolve for Order {
    fn evolve(&mut self, _: &OrderEvent) {}
}

fn execute<C: Command>(_: C)
where
    C::Aggregate: highwater::Decide<C>,
{
}

fn main() {
    execute(CancelOrder { order: 1 });
}
