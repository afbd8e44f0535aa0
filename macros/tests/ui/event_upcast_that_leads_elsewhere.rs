use highwater::Event;
use serde::Deserialize;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed", version = 3)]
    #[event(upcast(from = 1, with = placed_v1), upcast(from = 2, with = placed_v2))]
    Placed { customer: String },
    #[event(name = "order.cancelled", version = 2, upcast(from = 1, with = cancelled_v1))]
    Cancelled,
}

#[derive(Deserialize)]
struct PlacedV1 {
    buyer: String,
}

#[derive(Deserialize)]
struct PlacedV2 {
    buyer: String,
}

// It should return `PlacedV2`.
fn placed_v1(old: PlacedV1) -> String {
    old.buyer
}

fn placed_v2(old: PlacedV2) -> OrderEvent {
    OrderEvent::Placed { customer: old.buyer }
}

// It is the last, so it should return `OrderEvent`.
fn cancelled_v1(_: serde_json::Value) -> u8 {
    0
}

fn main() {}
