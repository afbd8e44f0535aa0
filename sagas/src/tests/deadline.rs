//! When a deadline passes, and what comes before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::flow::{is_sent, paying};
use super::shop::*;
use crate::saga_manager::MOST_UNFINISHED;
use crate::{SagaPhase, StepOutcome};

const AN_HOUR: Duration = Duration::from_secs(3_600);

/// A saga that waits for an answer, and nobody to read it.
async fn left_alone() -> Shop {
    let mut shop = Shop::with(Bank::default(), paying());
    shop.host();
    shop.place("a").await;
    is_sent(&shop).await;
    shop.caught_up().await;
    // So that the list of open sagas is stored, and where the log ended.
    shop.stop().await;
    shop
}

/// So much came before the answer that reading has to wait for sagas, the overdue one among them.
#[tokio::test]
async fn an_answer_that_came_while_nobody_was_there_to_read_it_is_not_late() {
    let mut shop = left_alone().await.one_at_a_time();
    for order in 0..MOST_UNFINISHED + 10 {
        shop.place(&format!("order {order}")).await;
    }
    shop.append(PaymentEvent::Captured("a".to_owned())).await;
    shop.clock.advance(AN_HOUR);
    shop.host();
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
}

#[tokio::test]
async fn a_deadline_that_passed_while_nobody_was_there_passes_on_a_quiet_log() {
    let mut shop = left_alone().await;
    shop.clock.advance(AN_HOUR);
    shop.host();
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Compensated { .. }));
}

#[tokio::test]
async fn an_answer_that_was_kept_while_its_saga_was_paused_is_taken_behind_the_deadline() {
    let is_mended = Arc::new(AtomicBool::new(false));
    let seen = is_mended.clone();
    let saga = started()
        .call("ask for payment", |_, _| async { StepOutcome::done() })
        .deadline(Duration::from_secs(60))
        .answered_by(
            |event: &PaymentEvent, _| match event {
                PaymentEvent::Captured(order) | PaymentEvent::Declined(order) => {
                    Some(order.clone())
                }
            },
            move |_, _| match seen.load(Ordering::SeqCst) {
                true => StepOutcome::done(),
                false => StepOutcome::pause("nobody understands the answer"),
            },
        )
        .build()
        .expect("a valid saga");
    let mut shop = Shop::with(Bank::default(), saga);
    shop.host();
    shop.place("a").await;
    is_sent(&shop).await;
    shop.append(PaymentEvent::Captured("a".to_owned())).await;
    assert!(matches!(shop.until_rest("a").await, SagaPhase::Paused { .. }));
    is_mended.store(true, Ordering::SeqCst);
    shop.clock.advance(AN_HOUR);
    shop.control.resume("a").await.expect("it is paused");
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.phase, SagaPhase::Completed);
}
