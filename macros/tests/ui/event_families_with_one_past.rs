use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed", renamed_from = "shop.sold")]
    Placed,
}

#[derive(Event)]
enum PaymentEvent {
    #[event(name = "payment.charged", renamed_from = "shop.sold")]
    Charged,
}

#[derive(Event)]
enum Both {
    #[event(family)]
    Order(OrderEvent),
    #[event(family)]
    Payment(PaymentEvent),
}

fn main() {}
