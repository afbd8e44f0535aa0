//! Old events. Logs outlive programs: each file in `golden/` is an event as it was stored once, with
//! what it must be read as. A change that these tests refuse has changed what is in somebody's log:
//! raise the event's `version` and write an upcaster.

#![allow(clippy::unwrap_used)]

use highwater::testing::golden;
use highwater::{Event, Payload, Personal};
use order_domain::DomainEvent;
use order_domain::inventory::{StockEvent, StockItem};
use order_domain::orders::{CancelReason, Order, OrderEvent, OrderLine};
use order_domain::payments::{Payment, PaymentEvent};
use order_domain::shipments::{Shipment, ShipmentEvent};
use order_domain::{
    AddressLine, Cents, CustomerId, DeliveryAddress, OrderId, ProductId, Quantity, TrackingCode,
};

const ORDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/order");
const STOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/stock");
const PAYMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/payment");
const SHIPMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/shipment");

fn order() -> OrderId {
    "01J9ZCWM3T5V8E0Q2R4S6XAYBD".parse().unwrap()
}

fn customer() -> CustomerId {
    "01J9ZCWM3T5V8E0Q2R4S6XCVST".parse().unwrap()
}

fn address() -> DeliveryAddress {
    let line = |text: &str| AddressLine::new(text).unwrap();
    DeliveryAddress {
        name: line("Ada Lovelace"),
        street: line("1 Harbour Street"),
        town: line("Aarhus"),
    }
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

#[test]
fn of_orders_are_read_as_they_were() {
    let line = OrderLine { product: teapot(), quantity: two(), unit_price: cents(1_200) };
    let reasons = [
        CancelReason::ByCustomer,
        CancelReason::OutOfStock { product: teapot() },
        CancelReason::PaymentDeclined,
        CancelReason::TookTooLong,
        CancelReason::Other { detail: "flood".to_owned() },
    ];
    golden::<OrderEvent>(ORDERS)
        .with([
            OrderEvent::Placed {
                order: order(),
                customer: customer(),
                ship_to: Some(Personal::of(customer(), address())),
                lines: vec![line],
                total: cents(2_400),
            },
            OrderEvent::Confirmed { order: order() },
            OrderEvent::Shipped { order: order() },
        ])
        .with(reasons.map(|reason| OrderEvent::Cancelled { order: order(), reason }))
        .evolving::<Order>([])
        .check();
}

#[test]
fn of_the_stock_are_read_as_they_were() {
    let (order, quantity) = (order(), two());
    golden::<StockEvent>(STOCK)
        .with([
            StockEvent::Received { product: teapot(), quantity },
            StockEvent::Reserved { product: teapot(), order, quantity },
            StockEvent::Released { product: teapot(), order, quantity },
            StockEvent::ReservationBarred { product: teapot(), order },
            StockEvent::Shipped { product: teapot(), order, quantity },
        ])
        .evolving::<StockItem>([
            StockEvent::Received { product: teapot(), quantity },
            StockEvent::Reserved { product: teapot(), order, quantity },
        ])
        .check();
}

#[test]
fn of_payments_are_read_as_they_were() {
    let (order, amount) = (order(), cents(2_400));
    golden::<PaymentEvent>(PAYMENTS)
        .with([
            PaymentEvent::Charged { order, amount },
            PaymentEvent::Declined { order, reason: "card expired".to_owned() },
            PaymentEvent::Refunded { order, amount },
            PaymentEvent::RefundNotNeeded { order },
        ])
        .evolving::<Payment>([])
        .check();
}

#[test]
fn of_shipments_are_read_as_they_were() {
    let tracking = TrackingCode::new("HW-1").unwrap();
    golden::<ShipmentEvent>(SHIPMENTS)
        .with([
            ShipmentEvent::Dispatched { order: order(), tracking },
            ShipmentEvent::Delivered { order: order() },
        ])
        .evolving::<Shipment>([])
        .check();
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
    let stored = format!(r#"{{"product":"teapot","order":"{}","quantity":0}}"#, order());
    let stored = Payload::from_json(stored).unwrap();
    assert!(StockEvent::decode("stock.reserved", 1, &stored).is_err());
}

#[test]
fn an_order_of_version_1_has_a_customer_of_its_own_and_no_address() {
    let old = format!(r#"{{"order":"{}","lines":[],"total_cents":0}}"#, order());
    let read = OrderEvent::decode("order.placed", 1, &Payload::from_json(old.clone()).unwrap());
    let expected = OrderEvent::Placed {
        order: order(),
        customer: CustomerId::unknown_of(order()),
        ship_to: None,
        lines: vec![],
        total: cents(0),
    };
    assert_eq!(read.unwrap().into_one(), Some(expected));
    let today = OrderEvent::decode("order.placed", 2, &Payload::from_json(old).unwrap());
    assert!(today.is_err(), "version 2 must name the customer");
}
