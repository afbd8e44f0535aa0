//! How events are stored. Logs outlive programs: whoever changes a text here has changed what old
//! events look like, and needs a new `version` with an `upcast`.

#![allow(clippy::unwrap_used)]

use highwater::{Event, Payload};
use order_domain::DomainEvent;
use order_domain::inventory::StockEvent;
use order_domain::orders::{CancelReason, OrderEvent, OrderLine};
use order_domain::payments::PaymentEvent;
use order_domain::shipments::ShipmentEvent;
use order_domain::{Cents, OrderId, ProductId, Quantity, TrackingCode};

const ORDER: &str = r#""order":"01J9ZCWM3T5V8E0Q2R4S6XAYBD""#;
const STOCK: &str = r#""product":"teapot","order":"01J9ZCWM3T5V8E0Q2R4S6XAYBD""#;

fn order() -> OrderId {
    "01J9ZCWM3T5V8E0Q2R4S6XAYBD".parse().unwrap()
}

fn teapot() -> ProductId {
    ProductId::new("teapot").unwrap()
}

fn two() -> Quantity {
    Quantity::new(2).unwrap()
}

fn cents(cents: i64) -> Cents {
    Cents::new(cents).unwrap()
}

#[track_caller]
fn assert_stored(event: DomainEvent, name: &str, fields: &str) {
    let stored = event.encode().unwrap();
    assert_eq!((event.event_type(), event.schema_version()), (name, 1));
    assert_eq!(stored.as_json(), format!("{{{fields}}}"));
    assert_eq!(DomainEvent::decode(name, 1, &stored).unwrap(), event);
}

#[test]
fn of_an_order() {
    let line = OrderLine { product: teapot(), quantity: two(), unit_price: cents(1_200) };
    let line_json = r#"{"product":"teapot","quantity":2,"unit_price_cents":1200}"#;
    let placed = OrderEvent::Placed { order: order(), lines: vec![line], total: cents(2_400) };
    let fields = format!(r#"{ORDER},"lines":[{line_json}],"total_cents":2400"#);
    assert_stored(DomainEvent::Order(placed), "order.placed", &fields);
    let confirmed = OrderEvent::Confirmed { order: order() };
    assert_stored(DomainEvent::Order(confirmed), "order.confirmed", ORDER);
    let shipped = OrderEvent::Shipped { order: order() };
    assert_stored(DomainEvent::Order(shipped), "order.shipped", ORDER);
}

#[test]
fn of_a_cancellation_with_its_reason() {
    let reasons = [
        (CancelReason::ByCustomer, r#"{"kind":"by_customer"}"#),
        (
            CancelReason::OutOfStock { product: teapot() },
            r#"{"kind":"out_of_stock","product":"teapot"}"#,
        ),
        (CancelReason::PaymentDeclined, r#"{"kind":"payment_declined"}"#),
        (CancelReason::TookTooLong, r#"{"kind":"took_too_long"}"#),
        (
            CancelReason::Other { detail: "flood".to_owned() },
            r#"{"kind":"other","detail":"flood"}"#,
        ),
    ];
    for (reason, json) in reasons {
        let cancelled = OrderEvent::Cancelled { order: order(), reason };
        let fields = format!(r#"{ORDER},"reason":{json}"#);
        assert_stored(DomainEvent::Order(cancelled), "order.cancelled", &fields);
    }
}

#[test]
fn of_the_stock() {
    let (product, order, quantity) = (teapot, order(), two());
    let stored = |event, name, fields: &str| assert_stored(DomainEvent::Stock(event), name, fields);
    let counted = format!(r#"{STOCK},"quantity":2"#);
    let received = StockEvent::Received { product: product(), quantity };
    stored(received, "stock.received", r#""product":"teapot","quantity":2"#);
    let reserved = StockEvent::Reserved { product: product(), order, quantity };
    stored(reserved, "stock.reserved", &counted);
    let released = StockEvent::Released { product: product(), order, quantity };
    stored(released, "stock.released", &counted);
    let barred = StockEvent::ReservationBarred { product: product(), order };
    stored(barred, "stock.reservation_barred", STOCK);
    let shipped = StockEvent::Shipped { product: product(), order, quantity };
    stored(shipped, "stock.shipped", &counted);
}

#[test]
fn of_a_payment() {
    let (order, amount) = (order(), cents(2_400));
    let stored = |event, name, more: &str| {
        assert_stored(DomainEvent::Payment(event), name, &format!("{ORDER}{more}"));
    };
    let charged = PaymentEvent::Charged { order, amount };
    stored(charged, "payment.charged", r#","amount_cents":2400"#);
    let declined = PaymentEvent::Declined { order, reason: "card expired".to_owned() };
    stored(declined, "payment.declined", r#","reason":"card expired""#);
    let refunded = PaymentEvent::Refunded { order, amount };
    stored(refunded, "payment.refunded", r#","amount_cents":2400"#);
    stored(PaymentEvent::RefundNotNeeded { order }, "payment.refund_not_needed", "");
}

#[test]
fn of_a_shipment() {
    let tracking = TrackingCode::new("HW-1").unwrap();
    let dispatched = ShipmentEvent::Dispatched { order: order(), tracking };
    let fields = format!(r#"{ORDER},"tracking":"HW-1""#);
    assert_stored(DomainEvent::Shipment(dispatched), "shipment.dispatched", &fields);
    let delivered = ShipmentEvent::Delivered { order: order() };
    assert_stored(DomainEvent::Shipment(delivered), "shipment.delivered", ORDER);
}

#[test]
fn every_event_type_is_pinned_here() {
    let source = include_str!("stored_form.rs");
    for known in DomainEvent::TYPES {
        assert!(source.contains(&format!("\"{}\"", known.name)), "{} is not", known.name);
    }
}

#[test]
fn every_event_of_an_order_is_found_by_its_tag() {
    let tags = |event: &DomainEvent| -> Vec<String> {
        event.tags().unwrap().iter().map(ToString::to_string).collect()
    };
    let confirmed = DomainEvent::Order(OrderEvent::Confirmed { order: order() });
    assert_eq!(tags(&confirmed), [format!("order:{}", order())]);
    let (product, order) = (teapot(), order());
    let reserved = StockEvent::Reserved { product, order, quantity: two() };
    let expected = ["product:teapot".to_owned(), format!("order:{order}")];
    assert_eq!(tags(&DomainEvent::Stock(reserved)), expected);
}

#[test]
fn what_is_no_valid_value_is_not_read_from_the_log_either() {
    let stored = format!(r#"{{{STOCK},"quantity":0}}"#);
    let stored = Payload::from_json(stored).unwrap();
    assert!(StockEvent::decode("stock.reserved", 1, &stored).is_err());
}
