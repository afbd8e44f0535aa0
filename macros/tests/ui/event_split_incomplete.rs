use highwater::Event;

#[derive(Event)]
#[event(split(name = "order.checked_out", with = both))]
#[event(dropped())]
#[event(split(name = "order.paid", version = 3, upcast(from = 1, with = f), with = both, into("order.placed")))]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

fn f(_: ()) {}
fn both(_: ()) -> Vec<OrderEvent> {
    Vec::new()
}

fn main() {}
