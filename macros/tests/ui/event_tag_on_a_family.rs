use highwater::{Event, RawEvent};

#[derive(Event)]
enum PaymentEvent {
    #[event(name = "payment.made")]
    Made,
}

#[derive(Event)]
enum Seen {
    #[event(family)]
    Payment(#[event(tag = "payment")] PaymentEvent),
    #[event(raw)]
    Other(#[event(persnal)] RawEvent),
}

fn main() {}
