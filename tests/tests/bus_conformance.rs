//! Every bus keeps the same promises: the in-process one, and Kafka behind a relay.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::bus::{InProcessConsumer, Relay, RouteByCategory, Topic};
use highwater::kafka::{KafkaConfig, KafkaConsumer, KafkaPublisher, PoisonPolicy};
use highwater::{Component, EventId, EventStore, MemoryStore};
use highwater_tests::conformance::bus::{BusFactory, Hosted, Recorder};
use highwater_tests::enrol_bus;
use highwater_tests::services;

/// Short, so that nobody waits long for the one who stands by.
const TAKEOVER_AFTER: Duration = Duration::from_millis(20);
/// Small, so that a test's events fill several pages.
const PAGE_SIZE: usize = 16;

/// The log itself, read by the consumer.
struct InProcess {
    store: Arc<MemoryStore>,
    route: RouteByCategory,
}

impl InProcess {
    async fn fresh() -> Self {
        let route = RouteByCategory::new("test", ["order"]);
        Self { store: Arc::new(MemoryStore::new()), route }
    }
}

#[async_trait]
impl BusFactory for InProcess {
    fn store(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }

    fn topic(&self) -> Topic {
        self.route.topic_of("order")
    }

    fn components(&self, handler: Recorder) -> Vec<Arc<dyn Component>> {
        let consumer = InProcessConsumer::new(handler, self.route.clone())
            .with_page_size(PAGE_SIZE)
            .with_takeover_after(TAKEOVER_AFTER);
        vec![Arc::new(consumer)]
    }

    async fn set_aside(&self) -> Vec<EventId> {
        Vec::new()
    }
}

enrol_bus!(in_process, InProcess::fresh());

/// Relay, Kafka, consumer.
struct Kafka {
    store: Arc<MemoryStore>,
    config: KafkaConfig,
    route: RouteByCategory,
    policy: PoisonPolicy,
}

impl Kafka {
    async fn fresh(policy: PoisonPolicy) -> Self {
        let kafka = services::kafka().await;
        Self {
            store: Arc::new(MemoryStore::new()),
            config: KafkaConfig::new(kafka.brokers()).with_partitions(3).with_replicas(1),
            route: RouteByCategory::new(kafka.fresh_topic("bus"), ["order"]),
            policy,
        }
    }
}

#[async_trait]
impl BusFactory for Kafka {
    fn store(&self) -> Arc<dyn EventStore> {
        self.store.clone()
    }

    fn topic(&self) -> Topic {
        self.route.topic_of("order")
    }

    fn components(&self, handler: Recorder) -> Vec<Arc<dyn Component>> {
        let publisher =
            KafkaPublisher::connect(self.config.clone()).expect("a valid configuration");
        let relay = Relay::new("test", Arc::new(publisher), self.route.clone())
            .with_page_size(PAGE_SIZE)
            .with_takeover_after(TAKEOVER_AFTER);
        let consumer = KafkaConsumer::new(self.config.clone(), handler)
            .expect("a valid configuration")
            .with_poison_policy(self.policy);
        vec![Arc::new(relay), Arc::new(consumer)]
    }

    async fn set_aside(&self) -> Vec<EventId> {
        // A dead letter carries the headers of its message, so a consumer of this bus can read it.
        let topic = Topic::new(format!("{}.dead-letter", self.topic()));
        let reader = Recorder::new(topic);
        let consumer = KafkaConsumer::new(self.config.clone(), reader.clone());
        let consumer = consumer.expect("a valid configuration");
        let hosted = Hosted::start(self.store(), vec![Arc::new(consumer)]);
        reader.has_calls(1).await;
        hosted.stop().await;
        reader.handled().iter().map(|message| message.id()).collect()
    }
}

enrol_bus!(kafka, Kafka::fresh(PoisonPolicy::DeadLetterTopic));
enrol_bus!(kafka_that_pauses, Kafka::fresh(PoisonPolicy::Pause));
