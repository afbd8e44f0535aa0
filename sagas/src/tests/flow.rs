//! What a saga does, one instance at a time.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use highwater_core::{CommandError, CommandHandler, Metadata};
use tokio::sync::Notify;

use super::shop::*;
use crate::recorder::command_id;
use crate::saga_event::stream_of;
use crate::{
    BehindCompensation, CompensationOutcome, RetryPolicy, Saga, SagaBuilder, SagaControlError,
    SagaPhase, StepEffect, StepOutcome, StepPhase,
};

#[tokio::test]
async fn a_saga_completes_in_one_append_per_step_and_one_for_the_start() {
    let mut shop = Shop::open();
    shop.host();
    shop.place("a").await;
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
    assert_eq!(shop.effects("a").await, ALL);
    let expected = [
        "started",
        "step_started",
        "step_succeeded",
        "step_started",
        "step_succeeded",
        "step_started",
        "step_succeeded",
        "step_started",
        "step_succeeded",
        "completed",
    ];
    assert_eq!(shop.history("a").await, expected);
    shop.stop().await;
}

#[tokio::test]
async fn a_rejected_command_turns_the_saga_back_with_nothing_to_undo() {
    let mut shop = Shop::open();
    shop.host();
    shop.place("sold-out").await;
    let SagaPhase::Compensated { reason } = shop.until_rest("sold-out").await else {
        panic!("it must turn back");
    };
    assert_eq!(reason, "step \"reserve goods\" failed: no goods are left");
    assert_eq!(shop.effects("sold-out").await, NONE);
}

#[tokio::test]
async fn a_refused_charge_releases_the_goods() {
    let mut shop = Shop::open();
    shop.host();
    shop.place("poor").await;
    assert!(matches!(shop.until_rest("poor").await, SagaPhase::Compensated { .. }));
    assert_eq!(shop.effects("poor").await, NONE);
    assert_eq!(shop.bank.requests(), 0);
}

#[tokio::test]
async fn a_compensation_that_fails_pauses_the_saga_and_leaves_the_steps_before_it_alone() {
    let mut shop = Shop::open();
    let gate = shut_gate(&shop);
    shop.host();
    shop.place("unrefundable").await;
    shop.bank.at_gate.notified().await;
    shop.append(OrderEvent::Cancelled("unrefundable".to_owned())).await;
    let SagaPhase::Paused { reason } = shop.until_rest("unrefundable").await else {
        panic!("it must pause");
    };
    assert_eq!(reason, "compensation of step \"charge\" failed: the bank is closed");
    assert_eq!(shop.effects("unrefundable").await.reserved, 1);
    let stuck = shop.control.stuck().await.expect("the store reads");
    assert_eq!(stuck.iter().map(|it| it.key.as_str()).collect::<Vec<_>>(), ["unrefundable"]);
    drop(gate);
}

#[tokio::test]
async fn a_missed_deadline_compensates_and_the_late_reply_is_recorded_and_undone() {
    let mut shop = Shop::open();
    let gate = shut_gate(&shop);
    shop.host();
    shop.place("slow").await;
    shop.bank.at_gate.notified().await;
    shop.clock.advance(Duration::from_secs(29));
    assert_eq!(shop.control.show("slow").await.expect("it runs").phase, SagaPhase::Running);
    shop.clock.advance(Duration::from_millis(1_000));
    let status = shop.until("slow", |it| it.has_ended()).await;
    assert_eq!(status.steps[1].phase, StepPhase::NothingToUndo);
    assert_eq!(shop.effects("slow").await, NONE);

    // The charge takes effect after all: the compensation had come too early.
    gate.notify_one();
    let status = shop.until("slow", |it| it.steps[1].phase == StepPhase::Undone).await;
    assert!(status.has_ended());
    assert_eq!(shop.effects("slow").await, NONE);
    assert_eq!(shop.bank.requests(), 2, "charged and refunded");
    shop.stop().await;
}

#[tokio::test]
async fn a_deadline_that_passes_while_nobody_runs_is_found_on_record() {
    let mut shop = Shop::open();
    let _gate = shut_gate(&shop);
    shop.host();
    shop.place("slow").await;
    shop.bank.at_gate.notified().await;
    shop.kill().await;
    shop.clock.advance(Duration::from_secs(31));
    shop.host();
    assert!(matches!(shop.until_rest("slow").await, SagaPhase::Compensated { .. }));
    assert_eq!(shop.effects("slow").await, NONE);
}

#[tokio::test]
async fn a_cancellation_before_the_pivot_compensates_and_behind_it_changes_nothing() {
    let mut shop = Shop::open();
    let _gate = shut_gate(&shop);
    shop.host();
    shop.place("early").await;
    shop.bank.at_gate.notified().await;
    shop.append(OrderEvent::Cancelled("early".to_owned())).await;
    assert!(matches!(shop.until_rest("early").await, SagaPhase::Compensated { .. }));
    assert_eq!(shop.effects("early").await, NONE);

    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
    shop.place("late").await;
    shop.until_rest("late").await;
    shop.append(OrderEvent::Cancelled("late".to_owned())).await;
    shop.append(OrderEvent::Cancelled("never placed".to_owned())).await;
    shop.caught_up().await;
    assert_eq!(shop.until_rest("late").await, SagaPhase::Completed);
    assert_eq!(shop.history("late").await.last().map(String::as_str), Some("ignored"));
    assert_eq!(shop.effects("late").await, ALL);
}

/// Settles a step whose command was never carried out, then carries it out.
#[tokio::test]
async fn a_command_that_is_executed_after_its_step_was_given_up_has_no_effect() {
    let saga = started()
        .step("reserve goods", |it: &Fulfilment| -> GoodsCommand {
            assert!(it.order.is_empty(), "the process dies before it can execute anything");
            GoodsCommand::Reserve(it.order.clone())
        })
        .compensate(|it| GoodsCommand::Release(it.order.clone()))
        .build()
        .expect("a valid saga");
    let mut shop = Shop::with(Bank::default(), saga);
    shop.host();
    shop.place("a").await;
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Paused { .. }));
    shop.control.compensate("a").await.expect("there is a way back");
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.steps[0].phase, StepPhase::Failed(StepEffect::None));

    let stream = stream_of("order-fulfilment", "a", None).expect("a key");
    let metadata = Metadata::default().with_command(command_id(&stream, "do", "reserve goods"));
    let zombie = CommandHandler::new(shop.store.clone());
    let late = zombie.execute_with(GoodsCommand::Reserve("a".to_owned()), metadata).await;
    assert!(matches!(late, Err(CommandError::IdTaken { .. })), "{late:?}");
    assert_eq!(shop.effects("a").await, NONE);
}

#[tokio::test]
async fn a_second_start_under_the_same_key_is_ignored() {
    let mut shop = Shop::open();
    shop.host();
    shop.place("a").await;
    shop.until_rest("a").await;
    shop.place("a").await;
    shop.caught_up().await;
    assert_eq!(shop.effects("a").await, ALL);
}

#[tokio::test]
async fn a_key_that_can_name_no_stream_is_parked_as_a_paused_saga_and_stops_nobody() {
    let mut shop = Shop::open();
    shop.host();
    shop.place(&"x".repeat(600)).await;
    shop.place("a").await;
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
    shop.caught_up().await;
    let stuck = shop.control.stuck().await.expect("the store reads");
    assert!(stuck.len() == 1 && stuck[0].phase.to_string().contains("can't name a stream"));
}

#[tokio::test]
async fn a_step_that_keeps_failing_pauses_and_goes_on_when_resumed() {
    let is_mended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = is_mended.clone();
    let policy = RetryPolicy::default().with_max_attempts(3);
    let saga = started()
        .call("flaky", move |_, _| {
            let is_mended = seen.load(std::sync::atomic::Ordering::SeqCst);
            async move {
                if is_mended { StepOutcome::done() } else { StepOutcome::retry("line is dead") }
            }
        })
        .retry(policy)
        .build()
        .expect("a valid saga");
    let mut shop = Shop::with(Bank::default(), saga);
    shop.host();
    shop.place("a").await;
    let phase = loop {
        shop.clock.advance(Duration::from_secs(1));
        if let Ok(status) = shop.control.show("a").await
            && status.is_paused()
        {
            break status.phase;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert_eq!(phase.to_string(), "paused (gave up after 3 attempts: line is dead)");
    is_mended.store(true, std::sync::atomic::Ordering::SeqCst);
    shop.control.resume("a").await.expect("it is paused");
    assert_eq!(shop.until("a", |it| it.has_ended()).await.phase, SagaPhase::Completed);
    let again = shop.control.resume("a").await;
    assert!(matches!(again, Err(SagaControlError::NotPossible { .. })));
}

#[tokio::test]
async fn a_step_that_a_later_definition_dropped_pauses_the_saga_that_was_planned_with_it() {
    let mut shop = Shop::open();
    let _gate = shut_gate(&shop);
    shop.host();
    shop.place("a").await;
    shop.bank.at_gate.notified().await;
    shop.kill().await;
    shop.saga = started()
        .step("reserve goods", |it| GoodsCommand::Reserve(it.order.clone()))
        .build()
        .expect("a valid saga");
    shop.host();
    let phase = shop.until_rest("a").await;
    assert_eq!(phase.to_string(), "paused (the definition has no step \"charge\" any more)");
}

#[tokio::test]
async fn a_paused_saga_can_be_told_to_turn_back() {
    let saga = started()
        .step("reserve goods", |it| GoodsCommand::Reserve(it.order.clone()))
        .compensate(|it| GoodsCommand::Release(it.order.clone()))
        .call("broken", |_, _| async { StepOutcome::pause("no such account") })
        .build()
        .expect("a valid saga");
    let mut shop = Shop::with(Bank::default(), saga);
    shop.host();
    shop.place("a").await;
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Paused { .. }));
    shop.control.compensate("a").await.expect("there is a way back");
    let status = shop.until("a", |it| it.has_ended()).await;
    assert!(matches!(status.phase, SagaPhase::Compensated { .. }));
    assert_eq!(shop.effects("a").await, NONE);
}

#[tokio::test]
async fn a_step_that_panics_pauses_its_saga_and_no_other() {
    let saga = started()
        .call("explode", |it: Fulfilment, _| async move {
            assert!(it.order != "bomb", "boom");
            StepOutcome::done()
        })
        .build()
        .expect("a valid saga");
    let mut shop = Shop::with(Bank::default(), saga);
    shop.host();
    shop.place("bomb").await;
    shop.place("a").await;
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
    assert_eq!(shop.until_rest("bomb").await.to_string(), "paused (the step panicked)");
}

pub(super) fn paying() -> Saga<Fulfilment> {
    let builder = started().call("ask for payment", |_, _| async { StepOutcome::done() });
    let builder = builder.compensate_with(|_, _| async { CompensationOutcome::undone() });
    answered_by_payment(builder).build().expect("a valid saga")
}

/// The step ends by a payment's event, within a minute.
pub(super) fn answered_by_payment(
    builder: SagaBuilder<Fulfilment, BehindCompensation>,
) -> SagaBuilder<Fulfilment, BehindCompensation> {
    builder.deadline(Duration::from_secs(60)).answered_by(
        |event: &PaymentEvent, _| match event {
            PaymentEvent::Captured(order) | PaymentEvent::Declined(order) => Some(order.clone()),
        },
        |event, it| match event {
            PaymentEvent::Captured(_) => {
                StepOutcome::done_with(Fulfilment { receipt: Some("captured".to_owned()), ..it })
            }
            PaymentEvent::Declined(_) => StepOutcome::failed("declined"),
        },
    )
}

pub(super) fn is_sent(shop: &Shop) -> impl Future<Output = ()> {
    let control = shop.control.clone();
    let mut signal = highwater_core::EventStore::signal(&*shop.store);
    async move {
        // Started, the step started, the step sent.
        while control.show("a").await.map_or(0, |it| it.version.get()) < 3 {
            signal.wait().await;
        }
    }
}

#[tokio::test]
async fn a_step_waits_for_the_event_that_answers_it_and_a_second_answer_changes_nothing() {
    let mut shop = Shop::with(Bank::default(), paying());
    shop.host();
    shop.place("a").await;
    is_sent(&shop).await;
    shop.append(PaymentEvent::Captured("a".to_owned())).await;
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.phase, SagaPhase::Completed);
    let state: Fulfilment = status.state.expect("a state").to_value().expect("the state");
    assert_eq!(state.receipt.as_deref(), Some("captured"));
    shop.append(PaymentEvent::Declined("a".to_owned())).await;
    shop.caught_up().await;
    let status = shop.control.show("a").await.expect("it is there");
    assert_eq!(status.phase, SagaPhase::Completed);
    assert_eq!(shop.history("a").await.last().map(String::as_str), Some("ignored"));
}

#[tokio::test]
async fn an_answer_that_comes_with_the_start_is_not_lost() {
    let mut shop = Shop::with(Bank::default(), paying());
    shop.place("a").await;
    shop.append(PaymentEvent::Captured("a".to_owned())).await;
    shop.host();
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
}

#[tokio::test]
async fn an_answer_of_no_turns_the_saga_back() {
    let mut shop = Shop::with(Bank::default(), paying());
    shop.host();
    shop.place("a").await;
    is_sent(&shop).await;
    shop.append(PaymentEvent::Declined("a".to_owned())).await;
    let reason = shop.until_rest("a").await.to_string();
    assert_eq!(reason, "compensated (step \"ask for payment\" failed: declined)");
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_with_the_deadline_and_a_late_one_is_only_recorded() {
    let mut shop = Shop::with(Bank::default(), paying());
    shop.host();
    shop.place("a").await;
    is_sent(&shop).await;
    shop.clock.advance(Duration::from_secs(61));
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.steps[0].phase, StepPhase::Undone);
    shop.append(PaymentEvent::Captured("a".to_owned())).await;
    shop.caught_up().await;
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Compensated { .. }));
    assert_eq!(shop.history("a").await.last().map(String::as_str), Some("ignored"));
}

fn shut_gate(shop: &Shop) -> Arc<Notify> {
    let gate = Arc::new(Notify::new());
    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
    gate
}
