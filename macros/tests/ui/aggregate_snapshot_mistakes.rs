use highwater::{Aggregate, Event};

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed,
}

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct OrderRejection;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot)]
struct WithoutAnything;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot(version = 1))]
struct WithoutTime;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot(every = 9))]
struct WithoutVersion;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot(every = 0, version = 1))]
struct Never;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot(evry = 9, version = 1))]
struct Slip;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "order", id = u64, event = OrderEvent, rejection = OrderRejection, snapshot(every = 9, version = 1), snapshot(every = 9, version = 1))]
struct Twice;

fn main() {}
