use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed(String, u64),
}

fn main() {}
