//! Many sagas, restarts with open ones, and two managers of one saga.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::shop::*;
use crate::SagaPhase;

const MANY: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_a_thousand_open_sagas_ends_every_one_of_them_once() {
    let mut shop = Shop::open();
    for order in 0..MANY {
        shop.place(&format!("order {order}")).await;
    }
    shop.host();
    shop.until("order 10", |it| it.version.get() > 4).await;
    shop.kill().await;
    shop.host();
    shop.caught_up().await;
    // A list of open sagas and no tail to read.
    shop.stop().await;
    shop.host();
    all_completed(&shop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_managers_at_once_record_each_transition_once_and_repeat_no_effect() {
    let mut shop = Shop::open();
    shop.host();
    for order in 0..MANY {
        shop.place(&format!("order {order}")).await;
        if order % 250 == 100 {
            shop.host();
        }
    }
    all_completed(&shop).await;
}

#[tokio::test(start_paused = true)]
async fn two_managers_under_traffic_keep_one_leader_and_both_can_be_waited_for() {
    let mut shop = Shop::open();
    shop.host();
    shop.host();
    shop.place("first").await;
    shop.all_caught_up().await;
    for order in 0..50 {
        shop.place(&format!("order {order}")).await;
        shop.all_caught_up().await;
        assert_eq!(shop.epoch().await, 2, "one claim by each");
    }
    shop.stop().await;
}

/// One saga is driven at a time, and the first one waits for the bank: the checkpoint can't move.
#[tokio::test(start_paused = true)]
async fn a_leader_whose_sagas_take_long_keeps_the_lead_although_its_checkpoint_stands_still() {
    let mut shop = Shop::open().one_at_a_time();
    let gate = Arc::new(Notify::new());
    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
    shop.host();
    shop.host();
    shop.place("slow").await;
    shop.bank.at_gate.notified().await;
    shop.place("next").await;
    // The clock is stopped: this is how long it takes by the managers' reckoning.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.epoch().await, 2);
    assert!(shop.history("next").await.is_empty(), "the checkpoint stands in front of it");
    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
    gate.notify_one();
    assert_eq!(shop.until_rest("next").await, SagaPhase::Completed);
    shop.all_caught_up().await;
    assert_eq!(shop.bank.requests(), 2);
    shop.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_stands_by_takes_over_the_open_sagas_of_a_dead_one() {
    let mut shop = Shop::open();
    shop.host();
    for round in 0..3 {
        shop.host();
        for order in 0..20 {
            shop.place(&format!("{round}/{order}")).await;
        }
        shop.until(&format!("{round}/7"), |it| it.version.get() > 2).await;
        shop.kill_last().await;
        for order in 20..40 {
            shop.place(&format!("{round}/{order}")).await;
        }
        for order in 0..40 {
            let order = format!("{round}/{order}");
            assert_eq!(shop.until_rest(&order).await, SagaPhase::Completed);
            assert_eq!(shop.effects(&order).await, ALL);
        }
    }
    assert_eq!(shop.bank.requests(), 120);
    shop.stop().await;
}

/// All of the log is dealt with, but for a call: only the beats tell this leader from a dead one.
#[tokio::test(start_paused = true)]
async fn a_dead_leader_with_open_sagas_is_taken_over_from_though_the_log_is_quiet() {
    let mut shop = Shop::open();
    let gate = Arc::new(Notify::new());
    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = Some(gate.clone());
    shop.host();
    shop.host();
    shop.place("a").await;
    shop.bank.at_gate.notified().await;
    shop.all_caught_up().await;
    // The clock is stopped here, too.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.epoch().await, 2, "alive, it keeps the lead");
    shop.kill_last().await;
    *shop.bank.gate.lock().unwrap_or_else(PoisonError::into_inner) = None;
    assert_eq!(shop.until_rest("a").await, SagaPhase::Completed);
    assert_eq!(shop.epoch().await, 3);
    assert_eq!(shop.effects("a").await, ALL);
    shop.all_caught_up().await;
    // With nothing left to do it is not missed, as long as nothing comes.
    shop.host();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.epoch().await, 4);
    shop.kill_last().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(shop.epoch().await, 4);
    shop.stop().await;
}

async fn all_completed(shop: &Shop) {
    for order in 0..MANY {
        let order = format!("order {order}");
        assert_eq!(shop.until_rest(&order).await, SagaPhase::Completed);
        assert_eq!(shop.effects(&order).await, ALL);
        assert_eq!(shop.history(&order).await.len(), 10);
    }
}
