use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Event)]
enum Seen {
    #[event(family)]
    Order(OrderEvent),
    #[event(name = "order.placed")]
    Placed,
}

fn main() {}
