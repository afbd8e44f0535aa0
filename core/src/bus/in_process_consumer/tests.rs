//! The in-process consumer against the memory store.

#![allow(clippy::unwrap_used)]

use std::sync::Mutex;

use super::*;
use crate::bus::RouteByCategory;
use crate::{
    Append, CheckpointStore, EventId, EventStore, ExpectedVersion, MemoryStore, NewEvent, StreamId,
};

type Handled = Arc<Mutex<Vec<GlobalPosition>>>;

/// Notes what it handled; some messages fail first, or always.
struct Handler {
    handled: Handled,
    fails_first: Mutex<Vec<EventId>>,
    poison: Option<EventId>,
}

#[async_trait]
impl MessageHandler for Handler {
    fn consumer(&self) -> &str {
        "test"
    }

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::new("shop.order.v1")]
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        if self.poison == Some(message.id()) {
            return Err(HandleError::poison("never"));
        }
        let mut fails = self.fails_first.lock().unwrap();
        if let Some(at) = fails.iter().position(|id| *id == message.id()) {
            fails.remove(at);
            return Err(HandleError::unavailable("not now"));
        }
        self.handled.lock().unwrap().push(message.event.position);
        Ok(())
    }
}

async fn append(store: &MemoryStore, category: &str) -> EventId {
    let event = NewEvent::new("tested", &()).unwrap();
    let id = event.id;
    let stream = StreamId::new(category, "a").unwrap();
    store.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await.unwrap();
    id
}

fn consumer(fails_first: Vec<EventId>, poison: Option<EventId>) -> (InProcessConsumer, Handled) {
    let handled = Handled::default();
    let handler =
        Handler { handled: handled.clone(), fails_first: Mutex::new(fails_first), poison };
    (InProcessConsumer::new(handler, RouteByCategory::new("shop", ["order", "stock"])), handled)
}

#[tokio::test]
async fn a_message_that_fails_for_now_is_tried_again_before_the_later_ones() {
    let store = Arc::new(MemoryStore::new());
    let mut ids = Vec::new();
    for category in ["order", "stock", "order", "order", "internal"] {
        ids.push(append(&store, category).await);
    }
    let (consumer, handled) = consumer(vec![ids[2], ids[2]], None);
    let context = ComponentContext::new(store.clone(), CancellationToken::new());
    context.progress.expect(consumer.name());
    let ends = async {
        let head = GlobalPosition::new(5);
        let patience = Duration::from_secs(20);
        context.progress.caught_up("consumer:test", head, patience).await.unwrap();
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(consumer.run(context.clone()), ends);
    ran.unwrap();
    let expected: Vec<_> = [1, 3, 4].into_iter().map(GlobalPosition::new).collect();
    assert_eq!(*handled.lock().unwrap(), expected);
}

#[tokio::test]
async fn poison_stops_it_right_in_front_of_the_message() {
    let store = Arc::new(MemoryStore::new());
    append(&store, "order").await;
    let poison = append(&store, "order").await;
    append(&store, "order").await;
    let (consumer, handled) = consumer(Vec::new(), Some(poison));
    let context = ComponentContext::new(store.clone(), CancellationToken::new());
    let error = consumer.run(context).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(error.to_string().contains(&poison.to_string()), "{error}");
    assert_eq!(*handled.lock().unwrap(), vec![GlobalPosition::new(1)]);
    assert_eq!(store.claim("consumer:test").await.unwrap().position, GlobalPosition::new(1));
}
