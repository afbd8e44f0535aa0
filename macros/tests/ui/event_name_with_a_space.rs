use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order placed")]
    Placed,
}

fn main() {}
