use highwater::Event;

#[derive(Event)]
struct OrderPlaced {
    customer: String,
}

fn main() {}
