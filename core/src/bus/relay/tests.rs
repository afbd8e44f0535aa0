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

#[tokio::test]
async fn two_relays_at_once_keep_the_order_of_the_log_and_take_turns() {
    let store = Arc::new(MemoryStore::new());
    for number in 0..200 {
        append(&store, "order", number % 3).await;
    }
    let broker = Arc::new(Broker { fails_every: 5, ..Broker::default() });
    let turn = |relay: Relay| relay.with_standby(Duration::from_millis(1));
    let (one, other) = (turn(relay(&broker)), turn(relay(&broker)));
    let (context, also) = (context(&store), context(&store));
    let ends = async {
        tokio::select! {
            () = reaches(&context, &store) => {}
            () = reaches(&also, &store) => {}
        }
        context.shutdown.cancel();
        also.shutdown.cancel();
    };
    let (a, b, ()) = tokio::join!(one.run(context.clone()), other.run(also.clone()), ends);
    a.unwrap();
    b.unwrap();
    let expected: Vec<_> = (1..=200).map(GlobalPosition::new).collect();
    assert_eq!(broker.news(), expected);
    assert!(store.claim("relay:test").await.unwrap().epoch > 3, "they took turns");
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
