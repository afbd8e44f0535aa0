use highwater::Event;

#[derive(Event)]
enum PaymentEvent {
    #[event(name = "payment.charged")]
    Charged,
}

#[derive(Event)]
#[event(split(name = "shop.sold", with = sold, into("order.placed", "payment.chraged")))]
enum ShopEvent {
    #[event(name = "order.placed")]
    Placed,
    #[event(family)]
    Payment(PaymentEvent),
}

fn sold(_: ()) -> [ShopEvent; 2] {
    [ShopEvent::Placed, ShopEvent::Payment(PaymentEvent::Charged)]
}

fn main() {}
