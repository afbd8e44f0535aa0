//! Many sagas, restarts with open ones, and two managers of one saga.

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

async fn all_completed(shop: &Shop) {
    for order in 0..MANY {
        let order = format!("order {order}");
        assert_eq!(shop.until_rest(&order).await, SagaPhase::Completed);
        assert_eq!(shop.effects(&order).await, ALL);
        assert_eq!(shop.history(&order).await.len(), 10);
    }
}
