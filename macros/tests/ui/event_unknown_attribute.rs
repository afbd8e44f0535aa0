use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(nmae = "order.placed")]
    Placed,
    #[event(name = "order.cancelled", colour = "red")]
    Cancelled {
        #[event(tags)]
        customer: String,
    },
}

fn main() {}
