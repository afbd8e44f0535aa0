use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed", version = 0)]
    Placed,
}

fn main() {}
