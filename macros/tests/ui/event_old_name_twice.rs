use highwater::Event;

#[derive(Event)]
#[event(dropped("order.viewed", "order.placed"))]
#[event(split(name = "order.created", with = both, into("order.placed", "order.charged")))]
enum OrderEvent {
    #[event(name = "order.placed", renamed_from = "order.created")]
    Placed,
    #[event(name = "order.cancelled", renamed_from = "order.viewed")]
    Cancelled,
}

fn both(_: ()) -> Vec<OrderEvent> {
    Vec::new()
}

fn main() {}
