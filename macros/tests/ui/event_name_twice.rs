use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
    #[event(name = "order.placed")]
    Replaced,
}

fn main() {}
