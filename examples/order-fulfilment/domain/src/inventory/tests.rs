//! The rules of the warehouse, one test each.

#![allow(clippy::unwrap_used)]

use highwater::testing::{Given, given, given_nothing};

use super::*;
use crate::{OrderId, ProductId, Quantity};

mod never_negative;

fn teapot() -> ProductId {
    ProductId::new("teapot").unwrap()
}

fn order(number: u64) -> OrderId {
    ulid::Ulid::from_parts(number, 0).into()
}

fn pieces(pieces: i64) -> Quantity {
    Quantity::new(pieces).unwrap()
}

fn receive(quantity: i64) -> ReceiveStock {
    ReceiveStock { product: teapot(), quantity: pieces(quantity), delivery: None }
}

fn reserve(number: u64, quantity: i64) -> ReserveStock {
    ReserveStock { product: teapot(), order: order(number), quantity: pieces(quantity) }
}

fn release(number: u64) -> ReleaseStock {
    ReleaseStock { product: teapot(), order: order(number) }
}

fn ship(number: u64) -> ShipStock {
    ShipStock { product: teapot(), order: order(number) }
}

fn received(quantity: i64) -> StockEvent {
    StockEvent::Received { product: teapot(), quantity: pieces(quantity) }
}

fn reserved(number: u64, quantity: i64) -> StockEvent {
    StockEvent::Reserved { product: teapot(), order: order(number), quantity: pieces(quantity) }
}

fn released(number: u64, quantity: i64) -> StockEvent {
    StockEvent::Released { product: teapot(), order: order(number), quantity: pieces(quantity) }
}

fn barred(number: u64) -> StockEvent {
    StockEvent::ReservationBarred { product: teapot(), order: order(number) }
}

fn shipped(number: u64, quantity: i64) -> StockEvent {
    StockEvent::Shipped { product: teapot(), order: order(number), quantity: pieces(quantity) }
}

fn out_of_stock(wanted: i64, available: u64) -> StockRejection {
    StockRejection::OutOfStock { product: teapot(), wanted: pieces(wanted), available }
}

/// Ten teapots, three of them set aside for the first order.
fn three_of_ten_reserved() -> Given<StockItem> {
    given([received(10), reserved(1, 3)])
}

#[test]
fn a_delivery_is_added_to_what_is_there() {
    let stock = given_nothing::<StockItem>()
        .when(receive(10))
        .then([received(10)])
        .when(receive(5))
        .then([received(5)]);
    assert_eq!((stock.state().on_hand(), stock.state().available()), (15, 15));
}

#[test]
fn what_is_free_can_be_reserved_to_the_last_piece() {
    three_of_ten_reserved().when(reserve(2, 7)).then([reserved(2, 7)]);
}

#[test]
fn what_is_reserved_for_one_order_is_not_reserved_for_another() {
    three_of_ten_reserved().when(reserve(2, 8)).then_rejected(out_of_stock(8, 7));
    given_nothing::<StockItem>().when(reserve(1, 1)).then_rejected(out_of_stock(1, 0));
}

#[test]
fn a_reservation_that_is_repeated_is_made_once() {
    three_of_ten_reserved().when(reserve(1, 3)).then_nothing();
    given::<StockItem>([received(10), reserved(1, 3), shipped(1, 3)])
        .when(reserve(1, 3))
        .then_nothing();
}

#[test]
fn a_reservation_is_not_changed_by_another() {
    let product = teapot();
    let (reserved, wanted) = (pieces(3), pieces(4));
    three_of_ten_reserved().when(reserve(1, 4)).then_rejected(
        StockRejection::ReservedDifferently { product, order: order(1), reserved, wanted },
    );
}

#[test]
fn what_is_released_is_free_again() {
    let stock = three_of_ten_reserved().when(release(1)).then([released(1, 3)]);
    assert_eq!((stock.state().on_hand(), stock.state().available()), (10, 10));
}

#[test]
fn a_release_that_is_repeated_releases_once() {
    given::<StockItem>([received(10), reserved(1, 3), released(1, 3)])
        .when(release(1))
        .then_nothing();
    given::<StockItem>([barred(1)]).when(release(1)).then_nothing();
}

#[test]
fn a_release_that_overtakes_its_reservation_bars_it() {
    given::<StockItem>([received(10)])
        .when(release(1))
        .then([barred(1)])
        .when(reserve(1, 3))
        .then_rejected(StockRejection::Released { product: teapot(), order: order(1) })
        .when(reserve(2, 10))
        .then([reserved(2, 10)]);
}

#[test]
fn what_was_released_is_not_reserved_again_or_shipped() {
    let released = given::<StockItem>([received(10), reserved(1, 3), released(1, 3)]);
    let rejection = StockRejection::Released { product: teapot(), order: order(1) };
    released.clone().when(reserve(1, 3)).then_rejected(rejection.clone());
    released.when(ship(1)).then_rejected(rejection);
}

#[test]
fn what_was_reserved_leaves_the_warehouse() {
    let stock = three_of_ten_reserved().when(ship(1)).then([shipped(1, 3)]);
    assert_eq!((stock.state().on_hand(), stock.state().available()), (7, 7));
}

#[test]
fn what_has_left_does_not_leave_again_and_does_not_come_back() {
    let shipped = given::<StockItem>([received(10), reserved(1, 3), shipped(1, 3)]);
    shipped.clone().when(ship(1)).then_nothing();
    shipped
        .when(release(1))
        .then_rejected(StockRejection::Shipped { product: teapot(), order: order(1) });
}

#[test]
fn what_is_not_reserved_does_not_leave() {
    given::<StockItem>([received(10)])
        .when(ship(1))
        .then_rejected(StockRejection::NotReserved { product: teapot(), order: order(1) });
}
