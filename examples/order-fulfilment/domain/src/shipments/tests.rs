//! The rules of a shipment, one test each.

#![allow(clippy::unwrap_used)]

use highwater::testing::{given, given_nothing};

use super::*;
use crate::{OrderId, TrackingCode};

fn order() -> OrderId {
    "01J9ZCWM3T5V8E0Q2R4S6XAYBD".parse().unwrap()
}

fn code(text: &str) -> TrackingCode {
    TrackingCode::new(text).unwrap()
}

fn dispatch(text: &str) -> DispatchShipment {
    DispatchShipment { order: order(), tracking: code(text) }
}

fn deliver() -> RecordDelivery {
    RecordDelivery { order: order() }
}

fn dispatched(text: &str) -> ShipmentEvent {
    ShipmentEvent::Dispatched { order: order(), tracking: code(text) }
}

fn delivered() -> ShipmentEvent {
    ShipmentEvent::Delivered { order: order() }
}

#[test]
fn a_parcel_is_dispatched_and_then_delivered() {
    given_nothing::<Shipment>()
        .when(dispatch("HW-1"))
        .then([dispatched("HW-1")])
        .when(deliver())
        .then([delivered()]);
}

#[test]
fn an_order_is_one_parcel() {
    given::<Shipment>([dispatched("HW-1")])
        .when(dispatch("HW-2"))
        .then_rejected(ShipmentRejection::DispatchedDifferently(code("HW-1")));
}

#[test]
fn what_was_done_is_not_done_again() {
    given::<Shipment>([dispatched("HW-1")]).when(dispatch("HW-1")).then_nothing();
    let arrived = given::<Shipment>([dispatched("HW-1"), delivered()]);
    arrived.clone().when(dispatch("HW-1")).then_nothing();
    arrived.when(deliver()).then_nothing();
}

#[test]
fn what_has_not_left_does_not_arrive() {
    given_nothing::<Shipment>().when(deliver()).then_rejected(ShipmentRejection::NotDispatched);
}
