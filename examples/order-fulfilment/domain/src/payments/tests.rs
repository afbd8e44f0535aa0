//! The rules of a payment, one test each.

#![allow(clippy::unwrap_used)]

use highwater::testing::{given, given_nothing};

use super::*;
use crate::{Cents, OrderId};

fn order() -> OrderId {
    "01J9ZCWM3T5V8E0Q2R4S6XAYBD".parse().unwrap()
}

fn cents(cents: i64) -> Cents {
    Cents::new(cents).unwrap()
}

fn charge(amount: i64) -> RecordCharge {
    RecordCharge { order: order(), amount: cents(amount) }
}

fn decline() -> RecordDecline {
    RecordDecline { order: order(), reason: "card expired".to_owned() }
}

fn refund() -> RecordRefund {
    RecordRefund { order: order() }
}

fn charged(amount: i64) -> PaymentEvent {
    PaymentEvent::Charged { order: order(), amount: cents(amount) }
}

fn declined() -> PaymentEvent {
    PaymentEvent::Declined { order: order(), reason: "card expired".to_owned() }
}

fn refunded(amount: i64) -> PaymentEvent {
    PaymentEvent::Refunded { order: order(), amount: cents(amount) }
}

fn refund_not_needed() -> PaymentEvent {
    PaymentEvent::RefundNotNeeded { order: order() }
}

#[test]
fn an_order_is_charged_once() {
    given_nothing::<Payment>()
        .when(charge(1_200))
        .then([charged(1_200)])
        .when(charge(1_200))
        .then_nothing()
        .when(charge(1_300))
        .then_rejected(PaymentRejection::ChargedDifferently(cents(1_200)));
}

#[test]
fn a_decline_is_final() {
    given_nothing::<Payment>()
        .when(decline())
        .then([declined()])
        .when(decline())
        .then_nothing()
        .when(charge(1_200))
        .then_rejected(PaymentRejection::Declined);
}

#[test]
fn what_was_charged_was_not_declined() {
    let rejection = PaymentRejection::Charged(cents(1_200));
    given::<Payment>([charged(1_200)]).when(decline()).then_rejected(rejection.clone());
    given::<Payment>([charged(1_200), refunded(1_200)]).when(decline()).then_rejected(rejection);
}

#[test]
fn a_charge_is_refunded_whole_and_once() {
    given::<Payment>([charged(1_200)])
        .when(refund())
        .then([refunded(1_200)])
        .when(refund())
        .then_nothing();
}

#[test]
fn what_was_refunded_is_not_charged_again() {
    given::<Payment>([charged(1_200), refunded(1_200)])
        .when(charge(1_200))
        .then_rejected(PaymentRejection::Refunded);
}

#[test]
fn a_refund_that_overtakes_its_charge_bars_it() {
    given_nothing::<Payment>()
        .when(refund())
        .then([refund_not_needed()])
        .when(refund())
        .then_nothing()
        .when(charge(1_200))
        .then_rejected(PaymentRejection::Void)
        .when(decline())
        .then_nothing();
}

#[test]
fn a_declined_payment_needs_no_refund() {
    given::<Payment>([declined()]).when(refund()).then_nothing();
}
