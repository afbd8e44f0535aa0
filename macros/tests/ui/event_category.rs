use highwater::Event;

#[derive(Event)]
#[event(category = "order")]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

fn main() {}
