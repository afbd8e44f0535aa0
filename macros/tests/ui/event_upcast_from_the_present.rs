use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed", version = 2, upcast(from = 2, with = placed_from_v1))]
    Placed,
    #[event(name = "order.cancelled", version = 2, upcast(from = 1))]
    Cancelled,
}

fn placed_from_v1(_: ()) -> OrderEvent {
    OrderEvent::Placed
}

fn main() {}
