use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed", version = 4)]
    #[event(upcast(from = 1, with = placed_v1), upcast(from = 3, with = placed_v3))]
    Placed,
    #[event(name = "order.cancelled", version = 2)]
    Cancelled,
    #[event(name = "order.shipped", version = 3, oldest = 2, upcast(from = 1, with = shipped_v1))]
    Shipped,
    #[event(name = "order.lost", oldest = 2)]
    Lost,
}

fn placed_v1(_: ()) {}
fn placed_v3(_: ()) -> OrderEvent {
    OrderEvent::Placed
}
fn shipped_v1(_: ()) {}

fn main() {}
