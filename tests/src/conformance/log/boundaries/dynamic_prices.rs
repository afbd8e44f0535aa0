//! A shop changes its prices and still takes the price that the customer was shown, for a while.
//!
//! What time it is comes with the command, as a number, and stands in the events: no clock decides.

use std::convert::Infallible;

use highwater::{
    Boundaries, BoundaryError, BoundaryReceipt, DecisionModel, Event, EventQuery, InvalidTag,
    RecordedEvent, emit, ensure, event_query,
};

use super::super::LogFactory;
use super::crowd::crowd;

/// How many minutes an old price is still taken.
const GRACE: u64 = 10;

#[derive(Event, Clone, Debug)]
enum ShopEvent {
    #[event(name = "product.priced")]
    Priced {
        #[event(tag)]
        product: String,
        cents: u64,
        at_minute: u64,
    },
    #[event(name = "product.ordered")]
    Ordered {
        #[event(tag)]
        product: String,
        cents: u64,
    },
}

/// Which prices of a product may be paid at a minute.
#[derive(Clone)]
struct Prices {
    product: &'static str,
    minute: u64,
    current: Option<u64>,
    still_taken: Vec<u64>,
}

impl DecisionModel for Prices {
    type Event = ShopEvent;

    fn query(&self) -> Result<EventQuery<ShopEvent>, InvalidTag> {
        // Orders change no price: customers aren't in each other's way.
        event_query!(ShopEvent: "product.priced").tagged("product", self.product)
    }

    fn evolve(&mut self, event: &ShopEvent, _: &RecordedEvent) {
        if let ShopEvent::Priced { cents, at_minute, .. } = event {
            let old = self.current.replace(*cents);
            if at_minute + GRACE >= self.minute {
                self.still_taken.extend(old);
            } else {
                self.still_taken.clear();
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the price is another one by now")]
struct PriceChanged;

fn prices(product: &'static str, minute: u64) -> Prices {
    Prices { product, minute, current: None, still_taken: Vec::new() }
}

async fn price(boundaries: &Boundaries, product: &'static str, cents: u64, at_minute: u64) {
    let priced = ShopEvent::Priced { product: product.to_owned(), cents, at_minute };
    let decide = |_: &Prices| -> Result<_, Infallible> { emit(priced.clone()) };
    boundaries.decide(prices(product, at_minute), decide).await.unwrap();
}

/// Orders products at the prices that were shown, all of them or none.
async fn order(
    boundaries: &Boundaries,
    minute: u64,
    [first, second]: [(&'static str, u64); 2],
) -> Result<BoundaryReceipt, BoundaryError<PriceChanged>> {
    let decide = |(of_first, of_second): &(Prices, Prices)| {
        let mut ordered = Vec::new();
        for (prices, (product, cents)) in [(of_first, first), (of_second, second)] {
            let is_taken = prices.current == Some(cents) || prices.still_taken.contains(&cents);
            ensure!(is_taken, PriceChanged);
            ordered.push(ShopEvent::Ordered { product: product.to_owned(), cents });
        }
        Ok(ordered)
    };
    let models = (prices(first.0, minute), prices(second.0, minute));
    boundaries.decide(models, decide).await
}

/// The price of the day is taken, a recent one too, an older or an invented one is not; one price
/// that isn't taken keeps the whole order out.
pub async fn a_price_that_was_shown_is_taken_within_its_grace(log: &dyn LogFactory) {
    let boundaries = Boundaries::new(log.open().await);
    price(&boundaries, "tea", 300, 0).await;
    price(&boundaries, "tea", 350, 100).await;
    price(&boundaries, "jam", 500, 0).await;
    order(&boundaries, 100 + GRACE, [("tea", 300), ("jam", 500)]).await.unwrap();
    order(&boundaries, 100 + GRACE, [("tea", 350), ("jam", 500)]).await.unwrap();
    for (minute, tea, jam) in [(101 + GRACE, 300, 500), (100, 310, 500), (100, 350, 400)] {
        let refused = order(&boundaries, minute, [("tea", tea), ("jam", jam)]).await;
        assert_eq!(refused.unwrap_err().rejection(), Some(&PriceChanged));
    }
    order(&boundaries, 101 + GRACE, [("tea", 350), ("jam", 500)]).await.unwrap();
    // Behind a further change only what it replaced is still taken.
    price(&boundaries, "tea", 400, 200).await;
    assert!(order(&boundaries, 205, [("tea", 300), ("jam", 500)]).await.is_err());
    order(&boundaries, 205, [("tea", 350), ("jam", 500)]).await.unwrap();
}

/// Many order while the price changes beyond any grace: whoever was let in stands in the log in
/// front of the change, and nobody behind it.
pub async fn of_a_crowd_nobody_orders_at_the_old_price_behind_a_change_without_grace(
    log: &dyn LogFactory,
) {
    const LATE: u64 = 1_000;
    let store = log.open().await;
    let boundaries = Boundaries::new(store.clone());
    price(&boundaries, "tea", 300, 0).await;
    price(&boundaries, "jam", 500, 0).await;
    let crowd = crowd(log, 24, |boundaries, index| async move {
        if index == 12 {
            price(&boundaries, "tea", 400, 1).await;
        }
        order(&boundaries, LATE, [("tea", 300), ("jam", 500)]).await
    })
    .await;
    let changed = boundaries.load(PricedAt { cents: 400, at: None }).await.unwrap();
    let changed = changed.state().at.unwrap();
    for receipt in crowd.receipts() {
        assert!(receipt.position < changed, "ordered at {} behind {changed}", receipt.position);
    }
    assert!(crowd.answers[12].is_err(), "who knows of the change doesn't get the old price");
}

/// Where a price was first set.
#[derive(Clone)]
struct PricedAt {
    cents: u64,
    at: Option<highwater::GlobalPosition>,
}

impl DecisionModel for PricedAt {
    type Event = ShopEvent;

    fn query(&self) -> Result<EventQuery<ShopEvent>, InvalidTag> {
        Ok(event_query!(ShopEvent: "product.priced"))
    }

    fn evolve(&mut self, event: &ShopEvent, recorded: &RecordedEvent) {
        if matches!(event, ShopEvent::Priced { cents, .. } if *cents == self.cents) {
            self.at.get_or_insert(recorded.position);
        }
    }
}
