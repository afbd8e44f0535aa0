//! What leaves the house: sealed, masked, or not at all.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::bus::{Message, PublishError, Publisher, Relay, RouteByCategory, Topic};
use crate::{Component, ComponentContext, Payload, StoreLayer, TenantId, TenantStore};

#[derive(Default)]
struct Broker {
    arrived: Mutex<Vec<Message>>,
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        self.arrived.lock().unwrap().extend_from_slice(messages);
        Ok(())
    }
}

/// Relays a log until all of it is published, and returns what arrived.
async fn relayed(
    log: Arc<dyn EventStore>,
    publisher: impl Fn(Arc<Broker>) -> Arc<dyn Publisher>,
) -> Vec<Message> {
    let broker = Arc::new(Broker::default());
    let relay = relay(publisher(broker.clone()));
    let context = ComponentContext::new(log.clone(), CancellationToken::new());
    let head = log.high_water_mark().await.unwrap();
    let until_published = async {
        context.progress.expect("relay:test");
        let patience = Duration::from_secs(20);
        context.progress.caught_up("relay:test", head, patience).await.unwrap();
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(relay.run(context.clone()), until_published);
    ran.unwrap();
    let arrived = broker.arrived.lock().unwrap();
    arrived.clone()
}

fn relay(publisher: Arc<dyn Publisher>) -> Relay {
    Relay::new("test", publisher, RouteByCategory::new("shop", ["test"]))
}

#[tokio::test]
async fn a_relay_publishes_sealed_data_only_and_a_receiver_with_a_vault_opens_it() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour")).await;
    let arrived = relayed(house.log.clone(), |broker| broker).await;
    let told = format!("{:?}{}", arrived[0].headers(), arrived[0].event.data.as_json());
    assert!(!told.contains("Harbour"), "{told}");
    let opened = house.vault.open_event(arrived[0].event.clone()).await.unwrap();
    assert!(opened.data.as_json().contains("Harbour"));
    house.vault.forget(&subject("ann")).await.unwrap();
    let opened = house.vault.open_event(arrived[0].event.clone()).await.unwrap();
    assert_eq!(opened.data.to_value::<Personal<String>>().unwrap().reveal(), None);
}

/// Whichever side of the wall the vault stands on, and though the relay doesn't see the wall's own ids.
#[tokio::test]
async fn what_the_relay_of_one_tenant_publishes_opens_as_that_tenants() {
    let acme = TenantId::new("acme").unwrap();
    let below = |house: &House| -> Arc<dyn EventStore> {
        Arc::new(TenantStore::new(house.log.clone(), &acme))
    };
    let on_top = |house: &House| -> Arc<dyn EventStore> {
        let wall = Arc::new(TenantStore::new(house.raw.clone(), &acme));
        Arc::new(SealedLog::new(wall, house.vault.clone()))
    };
    for log_of in [&below as &dyn Fn(&House) -> Arc<dyn EventStore>, &on_top] {
        let house = House::new();
        let log = log_of(&house);
        log.append(append(&Personal::of("ann", "Harbour"))).await.unwrap();
        let message = relayed(log, |broker| broker).await.remove(0);
        assert_eq!(message.key(), "@acme/test-a");
        assert!(message.event.data.as_json().contains("$sealed"));
        let opened = house.vault.open_event(message.event).await.unwrap();
        assert!(opened.data.as_json().contains("Harbour"));
    }
}

/// A layer that keeps it to itself that it opens.
struct Leaky(Arc<SealedLog>);

impl StoreLayer for Leaky {
    fn inner(&self) -> &dyn EventStore {
        &*self.0
    }

    fn sealed(&self) -> Option<Arc<dyn EventStore>> {
        None
    }
}

#[tokio::test]
async fn a_relay_that_is_given_an_opened_log_publishes_nothing_of_it() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour")).await;
    let broker = Arc::new(Broker::default());
    let log = Arc::new(Leaky(house.log.clone()));
    let context = ComponentContext::new(log, CancellationToken::new());
    let error = relay(broker.clone()).run(context).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert!(broker.arrived.lock().unwrap().is_empty());
}

#[tokio::test]
async fn on_a_public_topic_a_mask_stands_where_sealed_data_was() {
    let house = House::new();
    let event = serde_json::json!({ "to": Personal::of("ann", "Harbour"), "sum": 1 });
    house.append(&event).await;
    house.append(&2).await;
    let masked = relayed(house.log.clone(), |broker| Arc::new(MaskedPublisher::new(broker))).await;
    assert_eq!(masked[0].event.data.as_json(), "{\"sum\":1,\"to\":null}");
    assert_eq!(masked[1].event.data.as_json(), "2");

    let house = House::new();
    house.append(&event).await;
    let masked = relayed(house.log.clone(), |broker| {
        let mask = Payload::from_value(&"hidden").unwrap();
        Arc::new(MaskedPublisher::new(broker).with_mask(mask))
    });
    assert_eq!(masked.await[0].event.data.as_json(), "{\"sum\":1,\"to\":\"hidden\"}");

    let house = House::new();
    house.append(&event).await;
    let inside = |topic: &Topic| topic.as_str() != "shop.test.v1";
    let sealed = relayed(house.log.clone(), |broker| {
        Arc::new(MaskedPublisher::new(broker).on_topics(inside))
    });
    assert!(sealed.await[0].event.data.as_json().contains("$sealed"));
}
