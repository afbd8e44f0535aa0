use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Event)]
enum Seen {
    #[event(family, name = "order")]
    Order(OrderEvent),
    #[event(family)]
    Nothing,
}

fn main() {}
