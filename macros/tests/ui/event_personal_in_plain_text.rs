use highwater::{Event, Personal};

#[derive(Event)]
enum CustomerEvent {
    #[event(name = "customer.moved")]
    Moved {
        #[event(personal)]
        from: Option<Personal<String>>,
        #[event(personal)]
        to: String,
    },
}

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed {
        #[event(personal, tag)]
        customer: Personal<String>,
    },
}

fn main() {}
