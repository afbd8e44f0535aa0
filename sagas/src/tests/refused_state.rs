//! States that can't be stored: nothing disappears, somebody is told, and it can be mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use highwater_core::testing::{Fault, FaultyStore};
use highwater_core::{CheckpointStore, Component, ComponentContext, EventStore, GlobalPosition};
use tokio_util::sync::CancellationToken;

use super::shop::*;
use crate::{CompensationOutcome, Saga, SagaPhase, StepOutcome};

/// Larger than an append may be.
const TOO_LARGE_BYTES: usize = 9 * 1024 * 1024;

/// Whether somebody has mended what a test breaks.
type Switch = Arc<AtomicBool>;

/// A saga whose first state holds `receipt` until that is mended.
fn starting_with(receipt: String, is_mended: &Switch) -> Saga<Fulfilment> {
    let is_mended = is_mended.clone();
    Saga::named("order-fulfilment")
        .started_by(move |event: &OrderEvent, _| {
            let OrderEvent::Placed(order) = event else {
                return None;
            };
            let is_bad = order.starts_with("bad") && !is_mended.load(Ordering::SeqCst);
            let receipt = is_bad.then(|| receipt.clone());
            Some((order.clone(), Fulfilment { order: order.clone(), receipt }))
        })
        .step("reserve goods", |it| GoodsCommand::Reserve(it.order.clone()))
        .compensate(|it| GoodsCommand::Release(it.order.clone()))
        .build()
        .expect("a valid saga")
}

async fn starts_paused_and_goes_on_when_mended(receipt: String, why: &str) {
    let is_mended = Switch::default();
    let mut shop = Shop::with(Bank::default(), starting_with(receipt, &is_mended));
    shop.host();
    for order in ["bad", "bad too", "a"] {
        shop.place(order).await;
    }
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed, "the others go on");
    shop.caught_up().await;
    let stuck = shop.control.stuck().await.expect("the store reads");
    assert_eq!(stuck.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["bad", "bad too"]);
    assert!(stuck[0].state.is_none() && stuck[0].phase.to_string().contains(why), "{stuck:?}");

    shop.control.resume("bad").await.expect("it is paused");
    let again = shop.until("bad", |it| it.version > stuck[0].version.next()).await;
    assert!(again.is_paused(), "nothing was mended: {}", again.phase);

    is_mended.store(true, Ordering::SeqCst);
    shop.control.resume("bad").await.expect("it is paused");
    let ended = shop.until("bad", |it| it.has_ended()).await;
    assert_eq!(ended.phase, SagaPhase::Completed);
    assert_eq!(shop.effects("bad").await.reserved, 1);

    shop.control.compensate("bad too").await.expect("there is a way back");
    let ended = shop.until("bad too", |it| it.has_ended()).await;
    assert!(matches!(ended.phase, SagaPhase::Compensated { .. }));
    shop.stop().await;
}

#[tokio::test]
async fn a_saga_whose_first_state_the_store_refuses_is_paused_and_starts_when_that_is_mended() {
    let receipt = "x".repeat(TOO_LARGE_BYTES);
    starts_paused_and_goes_on_when_mended(receipt, "the store refuses its first state").await;
}

#[tokio::test]
async fn a_saga_whose_first_state_can_not_be_written_is_paused_and_starts_when_that_is_mended() {
    let why = "its first state can't be written: ";
    starts_paused_and_goes_on_when_mended(UNWRITABLE.to_owned(), why).await;
}

#[tokio::test]
async fn a_start_that_the_store_refuses_altogether_stops_the_manager_in_front_of_the_event() {
    let shop = Shop::open();
    shop.place("a").await;
    let faulty = Arc::new(FaultyStore::new(shop.store.clone()));
    (0..2).for_each(|_| faulty.fail_next_append(Fault::Refused));
    let context = ComponentContext::new(faulty.clone(), CancellationToken::new());
    let error = shop.manager().run(context).await.expect_err("it can't go on");
    assert!(!error.is_retryable());
    let event =
        shop.store.read_all(&highwater_core::Selection::All, GlobalPosition::START, 1).await;
    let id = event.expect("the store reads").events[0].id.to_string();
    assert!(crate::step::with_causes(&error).contains(&id), "{error:?}");
    let claim = shop.store.claim("saga:order-fulfilment").await.expect("the store is there");
    assert_eq!(claim.position, GlobalPosition::START, "the event is still in front of it");

    let mut shop = shop;
    shop.host();
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
}

/// Reserves, then fails; the compensation of the reservation has a new state.
fn undoing_with(receipt: String, is_mended: &Switch) -> Saga<Fulfilment> {
    let is_mended = is_mended.clone();
    started()
        .call("book", |_, _| async { StepOutcome::done() })
        .compensate_with(move |it: Fulfilment, _| {
            let bad = (!is_mended.load(Ordering::SeqCst)).then(|| receipt.clone());
            let receipt = bad.or(Some("undone".to_owned()));
            async move { CompensationOutcome::Undone(Some(Fulfilment { receipt, ..it })) }
        })
        .call("fail", |_, _| async { StepOutcome::failed("no") })
        .build()
        .expect("a valid saga")
}

async fn undoing_pauses_until_its_state_is_mended(receipt: String, why: &str) {
    let is_mended = Switch::default();
    let mut shop = Shop::with(Bank::default(), undoing_with(receipt, &is_mended));
    shop.host();
    shop.place("a").await;
    let phase = shop.until_rest("a").await;
    assert!(matches!(phase, SagaPhase::Paused { .. }), "{phase}");
    assert!(phase.to_string().contains(why), "{phase}");
    is_mended.store(true, Ordering::SeqCst);
    shop.control.resume("a").await.expect("it is paused");
    let status = shop.until("a", |it| it.has_ended()).await;
    assert!(matches!(status.phase, SagaPhase::Compensated { .. }), "{}", status.phase);
    let state: Fulfilment = status.state.expect("a state").to_value().expect("the state");
    assert_eq!(state.receipt.as_deref(), Some("undone"), "the new state did not get lost");
}

#[tokio::test]
async fn a_compensation_whose_new_state_can_not_be_written_pauses_the_saga() {
    let why = "the compensation's new state can't be stored";
    undoing_pauses_until_its_state_is_mended(UNWRITABLE.to_owned(), why).await;
}

#[tokio::test]
async fn a_compensation_whose_new_state_the_store_refuses_pauses_the_saga() {
    let receipt = "x".repeat(TOO_LARGE_BYTES);
    undoing_pauses_until_its_state_is_mended(receipt, "the store refuses the saga's state").await;
}
