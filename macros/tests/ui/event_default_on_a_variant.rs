use highwater::Event;

#[derive(Event)]
enum OrderEvent {
    #[event(name = "order.placed")]
    #[serde(default)]
    Placed { customer: String },
    #[event(name = "order.lost")]
    #[serde(rename_all = "camelCase", default = "lost")]
    Lost { last_seen: String },
}

fn main() {}
