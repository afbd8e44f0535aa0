use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    PartlyShipped,
}

fn main() {}
