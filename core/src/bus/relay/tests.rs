//! The relay against a broker in memory.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::bus::{RouteByCategory, Topic};
use crate::{
    Append, CheckpointStore, EventId, EventStore, ExpectedVersion, GlobalPosition, MemoryStore,
    NewEvent, StreamId,
};

const SOON: Duration = Duration::from_secs(20);

/// A broker in memory that fails, refuses and delays on demand.
#[derive(Default)]
struct Broker {
    arrived: Mutex<Vec<Message>>,
    calls: AtomicUsize,
    /// Every n-th call delivers half of its messages and fails.
    fails_every: usize,
    refused: Option<EventId>,
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(refused) = messages.iter().find(|message| Some(message.id()) == self.refused) {
            return Err(PublishError::Refused {
                message: refused.id(),
                topic: refused.topic.to_string(),
                source: "too large".into(),
            });
        }
        let fails = self.fails_every > 0 && call.is_multiple_of(self.fails_every);
        let delivered = if fails { messages.len() / 2 } else { messages.len() };
        for message in &messages[..delivered] {
            // Lets the other relay of a test in between.
            tokio::task::yield_now().await;
            self.arrived.lock().unwrap().push(message.clone());
        }
        match fails {
            true => Err(PublishError::Unavailable { source: "cut".into() }),
            false => Ok(()),
        }
    }
}

impl Broker {
    /// What a consumer sees that leaves repetitions out.
    fn news(&self) -> Vec<GlobalPosition> {
        let mut seen = HashSet::new();
        let arrived = self.arrived.lock().unwrap();
        let is_new = |message: &&Message| seen.insert(message.id());
        arrived.iter().filter(is_new).map(|message| message.event.position).collect()
    }
}

async fn append(store: &MemoryStore, category: &str, key: usize) -> EventId {
    let event = NewEvent::new("tested", &key).unwrap();
    let id = event.id;
    let stream = StreamId::new(category, key).unwrap();
    store.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await.unwrap();
    id
}

fn relay(broker: &Arc<Broker>) -> Relay {
    Relay::new("test", broker.clone(), RouteByCategory::new("shop", ["order"])).with_page_size(7)
}

fn context(store: &Arc<MemoryStore>) -> ComponentContext {
    ComponentContext::new(store.clone(), CancellationToken::new())
}

async fn reaches(context: &ComponentContext, store: &MemoryStore) {
    let head = store.high_water_mark().await.unwrap();
    context.progress.expect("relay:test");
    context.progress.caught_up("relay:test", head, SOON).await.unwrap();
}

#[tokio::test]
async fn it_publishes_in_order_through_failures_and_moves_over_what_stays_inside() {
    let store = Arc::new(MemoryStore::new());
    for number in 0..40 {
        append(&store, if number % 4 == 3 { "internal" } else { "order" }, number % 5).await;
    }
    append(&store, "internal", 0).await;
    let broker = Arc::new(Broker { fails_every: 3, ..Broker::default() });
    let (relay, context) = (relay(&broker), context(&store));
    let ends = async {
        reaches(&context, &store).await;
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(relay.run(context.clone()), ends);
    ran.unwrap();
    let expected: Vec<_> = (0..40)
        .filter(|number| number % 4 != 3)
        .map(|number| GlobalPosition::new(number + 1))
        .collect();
    assert_eq!(broker.news(), expected);
    assert_eq!(store.claim("relay:test").await.unwrap().position, GlobalPosition::new(41));
}

/// Runs relays until everything is published, and stops them.
async fn until_published(store: &Arc<MemoryStore>, relays: [Relay; 2]) {
    let contexts = [context(store), context(store)];
    let ends = async {
        for context in &contexts {
            reaches(context, store).await;
        }
        for context in &contexts {
            context.shutdown.cancel();
        }
    };
    let [one, other] = relays;
    let (a, b, ()) =
        tokio::join!(one.run(contexts[0].clone()), other.run(contexts[1].clone()), ends);
    a.unwrap();
    b.unwrap();
}

#[tokio::test]
async fn two_relays_that_take_the_place_from_each_other_keep_the_order_of_the_log() {
    let store = Arc::new(MemoryStore::new());
    for number in 0..200 {
        append(&store, "order", number % 3).await;
    }
    let broker = Arc::new(Broker { fails_every: 5, ..Broker::default() });
    // Far too short: whoever is silent for a moment is taken over from.
    let hasty = || relay(&broker).with_takeover_after(Duration::from_micros(1));
    until_published(&store, [hasty(), hasty()]).await;
    let expected: Vec<_> = (1..=200).map(GlobalPosition::new).collect();
    assert_eq!(broker.news(), expected);
    assert!(store.claim("relay:test").await.unwrap().epoch > 3, "they took turns");
}

#[tokio::test(start_paused = true)]
async fn two_relays_under_traffic_keep_one_leader_and_both_can_be_waited_for() {
    let store = Arc::new(MemoryStore::new());
    let broker = Arc::new(Broker::default());
    let contexts = [context(&store), context(&store)];
    let quick = || relay(&broker).with_takeover_after(Duration::from_millis(400));
    let traffic = async {
        let mut epochs = HashSet::new();
        for number in 0..120 {
            append(&store, "order", number).await;
            for context in &contexts {
                reaches(context, &store).await;
            }
            if number > 10 {
                epochs.insert(store.standing("relay:test").await.unwrap().unwrap().epoch);
            }
        }
        contexts.iter().for_each(|context| context.shutdown.cancel());
        epochs
    };
    let (one, other) = (quick(), quick());
    let (a, b, epochs) =
        tokio::join!(one.run(contexts[0].clone()), other.run(contexts[1].clone()), traffic);
    a.unwrap();
    b.unwrap();
    assert_eq!(epochs, HashSet::from([2]), "two claims, one by each, and none for want of need");
    assert_eq!(broker.news().len(), 120);
}

#[tokio::test]
async fn a_relay_that_stands_by_takes_over_from_a_dead_one_and_loses_nothing() {
    let store = Arc::new(MemoryStore::new());
    let broker = Arc::new(Broker::default());
    let quick = || Arc::new(relay(&broker).with_takeover_after(Duration::from_millis(60)));
    let (stays, context_of_it) = (quick(), context(&store));
    let (staying, hosted) = (stays.clone(), context_of_it.clone());
    let staying = tokio::spawn(async move { staying.run(hosted).await });
    append(&store, "order", 0).await;
    reaches(&context_of_it, &store).await;
    for _ in 0..3 {
        let (leader, context) = (quick(), context(&store));
        let hosted = context.clone();
        let leading = tokio::spawn(async move { leader.run(hosted).await });
        append(&store, "order", 1).await;
        reaches(&context, &store).await;
        leading.abort();
        for number in 0..20 {
            append(&store, "order", number).await;
        }
        reaches(&context_of_it, &store).await;
    }
    context_of_it.shutdown.cancel();
    staying.await.unwrap().unwrap();
    let expected: Vec<_> = (1..=64).map(GlobalPosition::new).collect();
    assert_eq!(broker.news(), expected);
}

/// A broker that takes its time over one call.
struct Slow {
    broker: Arc<Broker>,
    takes: Duration,
}

#[async_trait]
impl Publisher for Slow {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        tokio::time::sleep(self.takes).await;
        self.broker.publish(messages).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_whose_broker_takes_long_is_not_taken_over_from() {
    let store = Arc::new(MemoryStore::new());
    for number in 0..21 {
        append(&store, "order", number).await;
    }
    let broker = Arc::new(Broker::default());
    let slow = || {
        let slow = Slow { broker: broker.clone(), takes: Duration::from_secs(60) };
        let route = RouteByCategory::new("shop", ["order"]);
        Relay::new("test", Arc::new(slow), route).with_page_size(7)
    };
    let contexts = [context(&store), context(&store)];
    let ends = async {
        // Three pages of a minute each, by the stopped clock, and as much again.
        for _ in 0..360 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        contexts.iter().for_each(|context| context.shutdown.cancel());
    };
    let (one, other) = (slow(), slow());
    let (a, b, ()) =
        tokio::join!(one.run(contexts[0].clone()), other.run(contexts[1].clone()), ends);
    a.unwrap();
    b.unwrap();
    assert_eq!(store.standing("relay:test").await.unwrap().unwrap().epoch, 2);
    assert_eq!(broker.arrived.lock().unwrap().len(), 21, "each page once");
}

#[tokio::test]
async fn a_refused_message_stops_it_in_front_of_that_page() {
    let store = Arc::new(MemoryStore::new());
    for number in 0..7 {
        append(&store, "order", number).await;
    }
    let refused = append(&store, "order", 0).await;
    let broker = Arc::new(Broker { refused: Some(refused), ..Broker::default() });
    let error = relay(&broker).run(context(&store)).await.unwrap_err();
    assert!(!error.is_retryable());
    assert_eq!(store.claim("relay:test").await.unwrap().position, GlobalPosition::new(7));
}

#[tokio::test]
async fn a_relay_that_was_taken_over_publishes_no_further_page() {
    let store = Arc::new(MemoryStore::new());
    let broker = Arc::new(Broker::default());
    let (relay, context) = (relay(&broker), context(&store));
    let takes_over = async {
        reaches(&context, &store).await;
        store.claim("relay:test").await.unwrap();
        for number in 0..30 {
            append(&store, "order", number).await;
        }
        while broker.calls.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        context.shutdown.cancel();
    };
    append(&store, "internal", 0).await;
    let (ran, ()) = tokio::join!(relay.run(context.clone()), takes_over);
    ran.unwrap();
    assert_eq!(broker.calls.load(Ordering::SeqCst), 1, "the page in hand, no more");
    assert_eq!(store.claim("relay:test").await.unwrap().position, GlobalPosition::new(1));
}

#[tokio::test]
async fn an_event_that_stays_inside_is_never_published() {
    let route = |_: &crate::RecordedEvent| None::<Topic>;
    let store = Arc::new(MemoryStore::new());
    append(&store, "order", 1).await;
    let broker = Arc::new(Broker::default());
    let relay = Relay::new("test", broker.clone(), route);
    let context = context(&store);
    let ends = async {
        reaches(&context, &store).await;
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(relay.run(context.clone()), ends);
    ran.unwrap();
    assert_eq!(broker.calls.load(Ordering::SeqCst), 0);
}
