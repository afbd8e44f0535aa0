use highwater::Event;

#[derive(Event)]
enum Seen {
    #[event(family)]
    Order(String),
}

fn main() {}
