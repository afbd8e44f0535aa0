//! The shapes of all events, locked in `events.lock.json`.

use highwater::schema::Compatibility;
use highwater::testing::check_schema_lock;
use order_domain::DomainEvent;

/// To lock a change that breaks nothing: `HIGHWATER_SCHEMAS=lock cargo test -p order-domain`, or
/// `order-fulfilment schema lock`.
#[test]
fn no_event_changed_its_shape_without_being_locked() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock.json");
    check_schema_lock::<DomainEvent>(lock, Compatibility::Backward);
}
