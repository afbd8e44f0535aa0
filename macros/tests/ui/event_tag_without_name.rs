use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed(#[event(tag)] String),
    #[event(name = "order.cancelled")]
    Cancelled {
        #[event(tag = "order:id")]
        order: String,
    },
}

fn main() {}
