use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed {
        #[event(tag)]
        customers: Vec<String>,
    },
}

fn main() {}
