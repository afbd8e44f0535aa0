use highwater::Event;

#[derive(Event)]
enum OrderEvent<T> {
    #[event(name = "order.placed")]
    Placed { note: T },
}

fn main() {}
