//! Chapter: messages of two tenants meet in topics and inboxes, and are still told apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use highwater::bus::{
    HandleError, InProcessConsumer, Message, MessageHandler, PublishError, Publisher, Relay,
    RouteByCategory, Topic,
};
use highwater::{
    CommandId, Component, ComponentContext, EventId, EventStore, Metadata, TenantStore,
};
use tokio_util::sync::CancellationToken;

use super::super::log::LogFactory;
use super::super::log::given::{appended, stream, tagged, to_any};
use super::{tenant, two_tenants};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A broker, or a handler, that keeps what arrives. Clones are the same one.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<Vec<Message>>>);

impl Arrived {
    fn take(&self, messages: &[Message]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(messages);
    }

    fn all(&self) -> Vec<Message> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Publisher for Arrived {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        self.take(messages);
        Ok(())
    }
}

#[async_trait]
impl MessageHandler for Arrived {
    fn consumer(&self) -> &str {
        "test"
    }

    fn topics(&self) -> Vec<Topic> {
        vec![route().topic_of("test")]
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        self.take(std::slice::from_ref(message));
        Ok(())
    }
}

fn route() -> RouteByCategory {
    RouteByCategory::new("shop", ["test"])
}

/// Runs a component on a log until it has seen all of it.
async fn run_through(component: impl Component, store: Arc<dyn EventStore>) {
    let context = ComponentContext::new(store.clone(), CancellationToken::new());
    let head = store.high_water_mark().await.unwrap();
    let ends = async {
        context.progress.expect(component.name());
        context.progress.caught_up(component.name(), head, LONG).await.unwrap();
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(component.run(context.clone()), ends);
    ran.unwrap();
}

/// Both tenants do the same under the same idempotency key: an event, and one that it caused.
async fn two_tenants_alike(log: &dyn LogFactory) -> [Arc<TenantStore>; 2] {
    let (acme, bolt) = two_tenants(log).await;
    let command = CommandId::from_key("test", "k1");
    let (cause, effect) = (EventId::of_command(command, 0), EventId::of_command(command, 1));
    for store in [&acme, &bolt] {
        let mut caused = Metadata::default();
        caused.causation = Some(cause);
        let events = vec![
            tagged("cause", &["k:1"]).with_id(cause),
            tagged("effect", &[]).with_id(effect).with_metadata(caused),
        ];
        appended(store, to_any(&stream("7"), events)).await;
    }
    [Arc::new(acme), Arc::new(bolt)]
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    &headers.iter().find(|(known, _)| known == name).unwrap().1
}

/// Each bears its tenant's name in key and header, and an id that no other tenant's has.
fn assert_apart(arrived: &[Message]) {
    let keys: Vec<_> = arrived.iter().map(Message::key).collect();
    let (acme, bolt) = ("@acme/test-7", "@bolt/test-7");
    assert_eq!(keys, [acme, acme, bolt, bolt]);
    for (message, name) in arrived.iter().zip(["acme", "acme", "bolt", "bolt"]) {
        let headers = message.headers();
        assert_eq!(header(&headers, "ce_tenant"), name);
        assert_eq!(header(&headers, "ce_source"), format!("/@{name}/test"));
    }
    let mut ids: Vec<_> = arrived.iter().map(Message::id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "no message is taken for a repetition of another tenant's");
    assert_eq!(arrived[3].event.metadata.causation, Some(arrived[2].id()));
}

/// An inbox behind one topic takes no tenant's message for a repetition of another's, and a relay on
/// the whole log would have sent the same.
pub async fn relays_of_one_tenant_each_share_neither_key_nor_id(log: &dyn LogFactory) {
    let stores = two_tenants_alike(log).await;
    let relay = |broker: &Arrived| Relay::new("test", Arc::new(broker.clone()), route());
    let topic = Arrived::default();
    for store in stores {
        run_through(relay(&topic), store).await;
    }
    assert_apart(&topic.all());
    let of_all = Arrived::default();
    run_through(relay(&of_all), log.open().await).await;
    assert_eq!(topic.all(), of_all.all());
}

/// As a relay and a broker's consumer would have brought it.
pub async fn consumers_of_one_tenant_each_share_neither_key_nor_id(log: &dyn LogFactory) {
    let stores = two_tenants_alike(log).await;
    let handler = Arrived::default();
    for store in stores {
        run_through(InProcessConsumer::new(handler.clone(), route()), store).await;
    }
    assert_apart(&handler.all());
    let own = tenant("acme").translated(handler.all()[0].id());
    let command = CommandId::from_key("test", "k1");
    assert_eq!(own, EventId::of_command(command, 0), "the way back to the tenant's own name");
}
