use highwater::{Event, Payload};

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
    #[event(raw)]
    Other(Payload),
}

fn main() {}
