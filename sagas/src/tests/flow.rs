//! What a saga does, one instance at a time.

use std::time::Duration;

use super::shop::*;
use crate::{SagaPhase, StepPhase};

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
