//! A step that says no when a part of it has taken effect.

use std::sync::{Arc, Mutex, PoisonError};

use super::shop::*;
use crate::{CompensationOutcome, Saga, SagaPhase, StepEffect, StepOutcome};

/// What a compensation was told.
type Told = Arc<Mutex<Vec<(StepEffect, Option<String>)>>>;

/// Two cards are to be charged: the first one is, the second one is declined.
fn two_cards(bank: &Bank, told: &Told) -> Saga<Fulfilment> {
    let (charged, refunded, told) = (bank.clone(), bank.clone(), told.clone());
    started()
        .step("reserve goods", |it| GoodsCommand::Reserve(it.order.clone()))
        .compensate(|it| GoodsCommand::Release(it.order.clone()))
        .call("charge two cards", move |it: Fulfilment, context| {
            let bank = charged.clone();
            async move {
                bank.charge(&it.order, context.command).await;
                StepOutcome::failed_partly("the second card was declined")
            }
        })
        .compensate_with(move |it: Fulfilment, context| {
            let bank = refunded.clone();
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.push((context.effect, context.reason.clone()));
            async move {
                bank.refund(&it.order, context.command);
                CompensationOutcome::undone()
            }
        })
        .build()
        .expect("a valid saga")
}

#[tokio::test]
async fn a_step_that_failed_partly_is_undone_first_and_its_compensation_is_told_why() {
    let (bank, told) = (Bank::default(), Told::default());
    let saga = two_cards(&bank, &told);
    let mut shop = Shop::with(bank, saga);
    shop.host();
    shop.place("a").await;
    let reason = "step \"charge two cards\" failed: the second card was declined".to_owned();
    let phase = shop.until_rest("a").await;
    assert_eq!(phase, SagaPhase::Compensated { reason: reason.clone() });
    assert_eq!(shop.effects("a").await, NONE);
    assert_eq!(shop.bank.requests(), 2, "charged and refunded");
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(told, [(StepEffect::Unknown, Some(reason))]);
    assert_eq!(shop.undone("a").await, [1, 0]);
}

#[tokio::test]
async fn it_is_undone_also_after_a_restart_between_the_refusal_and_the_compensation() {
    let (bank, told) = (Bank::default(), Told::default());
    let saga = two_cards(&bank, &told);
    let mut shop = Shop::with(bank, saga);
    shop.host();
    shop.place("a").await;
    shop.until("a", |it| matches!(it.phase, SagaPhase::Compensating { .. }) || it.has_ended())
        .await;
    shop.kill().await;
    shop.host();
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Compensated { .. }));
    assert_eq!(shop.effects("a").await, NONE);
    assert_eq!(shop.undone("a").await, [1, 0]);
}
