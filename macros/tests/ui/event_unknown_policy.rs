use highwater::{Event, RawEvent};

#[derive(Event)]
#[event(unknown = "ignore")]
enum Misspelt {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Event)]
#[event(unknown = "raw")]
enum WithoutAPlace {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Event)]
#[event(unknown = "skip")]
enum Contradictory {
    #[event(raw)]
    Other(RawEvent),
    #[event(raw)]
    Another(RawEvent),
}

#[derive(Event)]
enum Named {
    #[event(raw, name = "order.other", version = 2)]
    Other(RawEvent),
}

#[derive(Event)]
enum Empty {
    #[event(raw)]
    Other,
}

fn main() {}
