use highwater::Event;
use serde::{Deserialize, Serialize};

#[derive(Event)]
#[event(schema)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed { customer: Customer },
}

#[derive(Serialize, Deserialize)]
struct Customer(String);

#[derive(Event)]
enum PaymentEvent {
    #[event(name = "payment.made")]
    Made,
}

#[derive(Event)]
#[event(schema)]
enum Both {
    #[event(family)]
    Payment(PaymentEvent),
}

fn main() {}
