//! The rules of an order, one test each.

#![allow(clippy::unwrap_used)]

use highwater::Personal;
use highwater::testing::{Given, given, given_nothing};

use super::*;
use crate::{AddressLine, Cents, CustomerId, DeliveryAddress, OrderId, ProductId, Quantity};

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

fn line(product: &str, pieces: i64, unit_price_cents: i64) -> OrderLine {
    OrderLine {
        product: ProductId::new(product).unwrap(),
        quantity: Quantity::new(pieces).unwrap(),
        unit_price: Cents::new(unit_price_cents).unwrap(),
    }
}

fn place(lines: impl Into<Vec<OrderLine>>) -> PlaceOrder {
    PlaceOrder {
        order: order(),
        customer: customer(),
        ship_to: address(),
        lines: lines.into(),
        request: None,
    }
}

fn cancel() -> CancelOrder {
    CancelOrder { order: order() }
}

fn confirm() -> ConfirmOrder {
    ConfirmOrder { order: order() }
}

fn mark_shipped() -> MarkShipped {
    MarkShipped { order: order() }
}

fn fail() -> FailFulfilment {
    FailFulfilment { order: order(), reason: CancelReason::PaymentDeclined }
}

fn placed_with(lines: Vec<OrderLine>, total_cents: i64) -> OrderEvent {
    OrderEvent::Placed {
        order: order(),
        customer: customer(),
        ship_to: Some(Personal::of(customer(), address())),
        lines,
        total: Cents::new(total_cents).unwrap(),
    }
}

fn placed() -> OrderEvent {
    placed_with(vec![line("teapot", 2, 1_200)], 2_400)
}

fn confirmed() -> OrderEvent {
    OrderEvent::Confirmed { order: order() }
}

fn shipped() -> OrderEvent {
    OrderEvent::Shipped { order: order() }
}

fn cancelled(reason: CancelReason) -> OrderEvent {
    OrderEvent::Cancelled { order: order(), reason }
}

fn a_placed_order() -> Given<Order> {
    given([placed()])
}

fn a_confirmed_order() -> Given<Order> {
    given([placed(), confirmed()])
}

fn a_shipped_order() -> Given<Order> {
    given([placed(), confirmed(), shipped()])
}

fn a_cancelled_order() -> Given<Order> {
    given([placed(), cancelled(CancelReason::ByCustomer)])
}

#[test]
fn a_placed_order_knows_its_total() {
    let lines = || vec![line("teapot", 2, 1_200), line("cup", 6, 350)];
    given_nothing::<Order>().when(place(lines())).then([placed_with(lines(), 4_500)]);
}

#[test]
fn an_order_is_placed_once() {
    a_placed_order()
        .when(place([line("cup", 1, 350)]))
        .then_rejected(OrderRejection::AlreadyPlaced);
    a_cancelled_order()
        .when(place([line("cup", 1, 350)]))
        .then_rejected(OrderRejection::AlreadyPlaced);
}

#[test]
fn an_order_of_nothing_is_refused() {
    given_nothing::<Order>().when(place([])).then_rejected(OrderRejection::NothingOrdered);
}

#[test]
fn an_order_with_too_many_lines_is_refused() {
    let lines: Vec<_> = (0..=100).map(|n| line(&format!("cup-{n}"), 1, 1)).collect();
    given_nothing::<Order>()
        .when(place(lines))
        .then_rejected(OrderRejection::TooManyLines { lines: 101 });
}

#[test]
fn a_product_stands_in_one_line() {
    given_nothing::<Order>()
        .when(place([line("cup", 1, 350), line("teapot", 1, 1_200), line("cup", 2, 350)]))
        .then_rejected(OrderRejection::ProductTwice(ProductId::new("cup").unwrap()));
}

#[test]
fn a_total_that_cannot_be_counted_is_refused() {
    given_nothing::<Order>()
        .when(place([line("palace", 2, i64::MAX)]))
        .then_rejected(OrderRejection::TotalTooLarge);
    given_nothing::<Order>()
        .when(place([line("palace", 1, i64::MAX), line("cup", 1, 1)]))
        .then_rejected(OrderRejection::TotalTooLarge);
}

#[test]
fn a_placed_order_is_confirmed_and_then_shipped() {
    a_placed_order().when(confirm()).then([confirmed()]).when(mark_shipped()).then([shipped()]);
}

#[test]
fn what_is_not_confirmed_is_not_shipped() {
    a_placed_order().when(mark_shipped()).then_rejected(OrderRejection::NotConfirmed);
}

#[test]
fn a_customer_may_cancel_until_the_order_is_confirmed() {
    a_placed_order().when(cancel()).then([cancelled(CancelReason::ByCustomer)]);
    a_confirmed_order().when(cancel()).then_rejected(OrderRejection::AlreadyConfirmed);
    a_shipped_order().when(cancel()).then_rejected(OrderRejection::Shipped);
}

#[test]
fn failed_fulfilment_cancels_with_its_reason() {
    a_placed_order().when(fail()).then([cancelled(CancelReason::PaymentDeclined)]);
    a_confirmed_order().when(fail()).then_rejected(OrderRejection::AlreadyConfirmed);
    a_shipped_order().when(fail()).then_rejected(OrderRejection::Shipped);
}

#[test]
fn a_cancelled_order_is_neither_confirmed_nor_shipped() {
    a_cancelled_order().when(confirm()).then_rejected(OrderRejection::Cancelled);
    a_cancelled_order().when(mark_shipped()).then_rejected(OrderRejection::Cancelled);
}

#[test]
fn what_was_done_is_not_done_again() {
    a_confirmed_order().when(confirm()).then_nothing();
    a_shipped_order().when(confirm()).then_nothing();
    a_shipped_order().when(mark_shipped()).then_nothing();
    a_cancelled_order().when(cancel()).then_nothing();
    a_cancelled_order().when(fail()).then_nothing();
}

#[test]
fn what_was_not_placed_does_nothing() {
    let blank = given_nothing::<Order>;
    blank().when(cancel()).then_rejected(OrderRejection::NotPlaced);
    blank().when(confirm()).then_rejected(OrderRejection::NotPlaced);
    blank().when(fail()).then_rejected(OrderRejection::NotPlaced);
    blank().when(mark_shipped()).then_rejected(OrderRejection::NotPlaced);
}
