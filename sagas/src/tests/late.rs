//! What shows itself when the saga has turned back already: nothing that was taken is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use highwater_core::CommandId;
use tokio::sync::Notify;

use super::flow::{answered_by_payment, is_sent};
use super::shop::*;
use crate::{
    CompensationOutcome, Saga, SagaPhase, StepContext, StepEffect, StepOutcome, StepPhase,
};

/// An outside provider that takes money when the test says so, and repeats its reply to a repeated
/// request.
#[derive(Default)]
struct Provider {
    state: Mutex<Money>,
    /// Told when a request is under way.
    reached: Notify,
    /// Whoever waits for the provider to reply.
    reply: Notify,
}

#[derive(Default)]
struct Money {
    is_taken: bool,
    replies: BTreeMap<CommandId, bool>,
    /// Requests wait for the test.
    is_slow: bool,
}

impl Provider {
    fn money(&self) -> MutexGuard<'_, Money> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn replies(&self) {
        if self.money().is_slow {
            self.reached.notify_one();
            self.reply.notified().await;
        }
    }

    async fn refund(&self, context: StepContext) -> CompensationOutcome<Fulfilment> {
        let was_taken = {
            let Money { is_taken, replies, .. } = &mut *self.money();
            *replies.entry(context.command).or_insert_with(|| std::mem::take(is_taken))
        };
        self.replies().await;
        if was_taken {
            return CompensationOutcome::undone();
        }
        assert_ne!(context.effect, StepEffect::Done, "an effect can't vanish");
        CompensationOutcome::NothingToUndo
    }
}

/// Asks the provider, which answers by an event.
fn asking(provider: &Arc<Provider>) -> Saga<Fulfilment> {
    let (asked, refunded) = (provider.clone(), provider.clone());
    let builder = started()
        .call("ask for payment", move |_, _| {
            let provider = asked.clone();
            async move {
                provider.replies().await;
                StepOutcome::done()
            }
        })
        .compensate_with(move |_, context| {
            let provider = refunded.clone();
            async move { provider.refund(context).await }
        });
    answered_by_payment(builder).build().expect("a valid saga")
}

/// A saga that has ended without having found anything to undo; its call has returned or not.
async fn given_up(provider: &Arc<Provider>, has_returned: bool) -> Shop {
    let mut shop = Shop::with(Bank::default(), asking(provider));
    provider.money().is_slow = !has_returned;
    shop.host();
    shop.place("a").await;
    match has_returned {
        true => is_sent(&shop).await,
        false => provider.reached.notified().await,
    }
    provider.money().is_slow = false;
    shop.clock.advance(Duration::from_secs(61));
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.steps[0].phase, StepPhase::NothingToUndo);
    shop
}

#[tokio::test]
async fn an_answer_that_tells_of_an_effect_after_the_compensation_found_none_is_undone() {
    for has_returned in [false, true] {
        let provider = Arc::new(Provider::default());
        let shop = given_up(&provider, has_returned).await;
        provider.money().is_taken = true;
        shop.append(PaymentEvent::Captured("a".to_owned())).await;
        let status = shop.until("a", |it| it.steps[0].phase == StepPhase::Undone).await;
        assert!(matches!(status.phase, SagaPhase::Compensated { .. }), "{:?}", status.phase);
        assert!(!provider.money().is_taken);
        assert_eq!(shop.undone("a").await, [0, 0]);

        shop.append(PaymentEvent::Captured("a".to_owned())).await;
        shop.caught_up().await;
        assert_eq!(shop.history("a").await.last().map(String::as_str), Some("ignored"));
    }
}

#[tokio::test]
async fn a_late_answer_of_no_changes_nothing() {
    let shop = given_up(&Arc::default(), false).await;
    shop.append(PaymentEvent::Declined("a".to_owned())).await;
    shop.caught_up().await;
    assert_eq!(shop.history("a").await.last().map(String::as_str), Some("ignored"));
    assert_eq!(shop.undone("a").await, [0]);
}

/// The provider says that there is nothing, then takes the money, before what it said is on record.
#[tokio::test]
async fn an_effect_that_comes_while_its_compensation_runs_is_undone() {
    let provider = Arc::new(Provider::default());
    provider.money().is_slow = true;
    let mut shop = Shop::with(Bank::default(), asking(&provider));
    shop.host();
    shop.place("a").await;
    provider.reached.notified().await;
    shop.clock.advance(Duration::from_secs(61));
    // The compensation waits as well; the call has waited longer, so it is the first to return.
    provider.reached.notified().await;
    provider.money().is_taken = true;
    provider.money().is_slow = false;
    provider.reply.notify_one();
    // Started, the step started, timed out, settled, the late reply.
    shop.until("a", |it| it.version.get() == 5).await;
    assert_eq!(shop.history("a").await[4], "late_reply");
    provider.reply.notify_one();
    let status = shop.until("a", |it| it.has_ended()).await;
    assert_eq!(status.steps[0].phase, StepPhase::Undone);
    assert!(!provider.money().is_taken);
}
