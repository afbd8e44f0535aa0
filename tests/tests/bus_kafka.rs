//! What only Kafka can do wrong: it dies, freezes, refuses a message, moves partitions, holds
//! foreign records. Each fault test ends with the oracle of the bus.

#[path = "bus_kafka/personal.rs"]
mod personal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use highwater::bus::{Message, PublishError, Publisher, Relay, RouteByCategory, Topic};
use highwater::kafka::{KafkaConfig, KafkaConsumer, KafkaPublisher};
use highwater::{
    Append, Component, EventId, EventStore, ExpectedVersion, MemoryStore, NewEvent, StreamId,
};
use highwater_tests::conformance::bus::{Hosted, Recorder, given, oracle};
use highwater_tests::services::{self, OwnKafka, OwnService};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::watch;

const LONG: Duration = Duration::from_secs(60);
const STREAMS: usize = 5;

/// A log, a topic of its own, and Kafka between them.
struct Case {
    store: Arc<dyn EventStore>,
    config: KafkaConfig,
    route: RouteByCategory,
    handler: Recorder,
}

impl Case {
    fn on(brokers: &str, domain: String) -> Self {
        let route = RouteByCategory::new(domain, ["order"]);
        Self {
            store: Arc::new(MemoryStore::new()),
            config: KafkaConfig::new(brokers)
                .with_partitions(3)
                .with_replicas(1)
                .with_publish_timeout(Duration::from_secs(3)),
            handler: Recorder::new(route.topic_of("order")),
            route,
        }
    }

    async fn shared() -> Self {
        let kafka = services::kafka().await;
        Self::on(kafka.brokers(), kafka.fresh_topic("fault"))
    }

    fn publisher(&self) -> Arc<KafkaPublisher> {
        Arc::new(KafkaPublisher::connect(self.config.clone()).expect("a valid configuration"))
    }

    fn relay_through(&self, publisher: Arc<dyn Publisher>) -> Arc<dyn Component> {
        let relay = Relay::new("test", publisher, self.route.clone());
        Arc::new(relay.with_page_size(8).with_takeover_after(Duration::from_millis(5)))
    }

    fn relay_in_pages_of(&self, events: usize) -> Arc<dyn Component> {
        let relay = Relay::new("test", self.publisher(), self.route.clone());
        Arc::new(relay.with_page_size(events))
    }

    fn relay(&self) -> Arc<dyn Component> {
        self.relay_through(self.publisher())
    }

    fn consumer(&self) -> Arc<dyn Component> {
        let consumer = KafkaConsumer::new(self.config.clone(), self.handler.clone());
        Arc::new(consumer.expect("a valid configuration"))
    }

    fn host(&self, components: impl IntoIterator<Item = Arc<dyn Component>>) -> Hosted {
        Hosted::start(self.store.clone(), components.into_iter().collect())
    }

    async fn append(&self, count: usize) -> Vec<EventId> {
        given::orders(&self.store, count, STREAMS).await
    }

    fn topic(&self) -> Topic {
        self.route.topic_of("order")
    }

    async fn holds(&self) {
        oracle::holds(&self.store, &self.handler.handled()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_relays_at_once_with_producers_of_their_own_keep_the_order_of_the_log() {
    let case = Case::shared().await;
    let (one, other) = (case.host([case.relay()]), case.host([case.relay()]));
    let consumer = case.host([case.consumer()]);
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.extend(case.append(60).await);
        case.handler.has_handled(&ids[ids.len() - 5..]).await;
    }
    case.handler.has_handled(&ids).await;
    case.holds().await;
    for hosted in [one, other, consumer] {
        hosted.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_killed_anywhere_and_started_again_loses_nothing() {
    let case = Case::shared().await;
    let consumer = case.host([case.consumer()]);
    let mut ids = Vec::new();
    let moments = [Moment::Connecting, Moment::Sending, Moment::Confirmed, Moment::Marked];
    for moment in moments.into_iter().chain(moments) {
        let publisher = Arc::new(Watched::through(case.publisher(), moment));
        let relay = case.host([case.relay_through(publisher.clone())]);
        ids.extend(case.append(40).await);
        publisher.reaches(moment).await;
        relay.kill().await;
    }
    let relay = case.host([case.relay()]);
    case.handler.has_handled(&ids).await;
    case.holds().await;
    relay.stop().await;
    consumer.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_come_and_go_leave_nothing_out_and_keep_the_order() {
    let case = Case::shared().await;
    let relay = case.host([case.relay()]);
    let stays = case.host([case.consumer()]);
    let mut ids = case.append(50).await;
    for round in 0..4 {
        let before = case.handler.call_count();
        let comes = case.host([case.consumer()]);
        ids.extend(case.append(100).await);
        case.handler.has_calls(before + 30).await;
        match round % 2 {
            0 => comes.stop().await,
            _ => comes.kill().await,
        }
    }
    case.handler.has_handled(&ids).await;
    case.holds().await;
    relay.stop().await;
    stays.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_larger_than_a_lane_survives_its_pauses_and_a_second_member() {
    let case = Case::shared().await;
    let ids = given::orders(&case.store, 2000, 2).await;
    for &id in ids.iter().step_by(500) {
        // Long enough for the lanes behind it to fill up.
        case.handler.fail_first(id, 4);
    }
    let relay = case.host([case.relay_in_pages_of(500)]);
    relay.reaches_head("relay:test").await;
    let stays = case.host([case.consumer()]);
    case.handler.has_calls(1).await;
    let comes = case.host([case.consumer()]);
    case.handler.has_calls(600).await;
    comes.stop().await;
    case.handler.has_handled(&ids).await;
    case.holds().await;
    relay.stop().await;
    stays.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_means_lag_and_never_loss() {
    let kafka = OwnKafka::start().await.expect("an own Kafka starts");
    let case = Case::on(kafka.brokers(), kafka.fresh_topic("killed"));
    let hosted = case.host([case.relay(), case.consumer()]);
    let mut ids = case.append(100).await;
    case.handler.has_calls(20).await;
    for _ in 0..2 {
        let before = case.handler.call_count();
        let (appended, killed) = tokio::join!(case.append(100), kafka.kill());
        killed.expect("killed");
        ids.extend(appended);
        ids.extend(case.append(50).await);
        kafka.start_again().await.expect("started again");
        case.handler.has_calls(before + 20).await;
    }
    case.handler.has_handled(&ids).await;
    case.holds().await;
    hosted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_freezes_means_lag_and_never_loss() {
    let kafka = OwnKafka::start().await.expect("an own Kafka starts");
    let case = Case::on(kafka.brokers(), kafka.fresh_topic("frozen"));
    let publisher = Arc::new(Watched::through(case.publisher(), Moment::GivenUp));
    let hosted = case.host([case.relay_through(publisher.clone()), case.consumer()]);
    let mut ids = case.append(100).await;
    case.handler.has_calls(20).await;
    let (appended, paused) = tokio::join!(case.append(100), kafka.pause());
    paused.expect("paused");
    ids.extend(appended);
    ids.extend(case.append(100).await);
    // Longer than a publish may take: its session is given up with records on the wire.
    publisher.reaches(Moment::GivenUp).await;
    kafka.unpause().await.expect("unpaused");
    ids.extend(case.append(20).await);
    case.handler.has_handled(&ids).await;
    case.holds().await;
    hosted.stop().await;
}

/// How far a relay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// It was started.
    Connecting,
    /// It has given messages to Kafka.
    Sending,
    /// Kafka has confirmed them, and the relay doesn't know yet.
    Confirmed,
    /// It has moved its checkpoint behind them.
    Marked,
    /// It has waited for a confirmation in vain.
    GivenUp,
}

/// Publishes through Kafka and says how far it is; it stays for ever in front of the relay's mark
/// if that is the moment it is asked for.
struct Watched {
    inner: Arc<KafkaPublisher>,
    moment: Moment,
    passed: watch::Sender<Passed>,
}

#[derive(Clone, Copy, Default)]
struct Passed {
    begun: usize,
    confirmed: usize,
    given_up: usize,
}

impl Watched {
    fn through(inner: Arc<KafkaPublisher>, moment: Moment) -> Self {
        Self { inner, moment, passed: watch::Sender::default() }
    }

    async fn reaches(&self, moment: Moment) {
        let mut passed = self.passed.subscribe();
        let is_there = |passed: &Passed| match moment {
            Moment::Connecting => true,
            Moment::Sending => passed.begun > 0,
            Moment::Confirmed => passed.confirmed > 0,
            // The relay sends a page when it has marked the one before.
            Moment::Marked => passed.begun > 1,
            Moment::GivenUp => passed.given_up > 0,
        };
        let waiting = tokio::time::timeout(LONG, passed.wait_for(is_there));
        waiting.await.expect("the relay gets there").expect("the sender lives");
    }
}

#[async_trait]
impl Publisher for Watched {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        self.passed.send_modify(|passed| passed.begun += 1);
        let outcome = self.inner.publish(messages).await;
        self.passed.send_modify(|passed| match outcome {
            Ok(()) => passed.confirmed += 1,
            Err(_) => passed.given_up += 1,
        });
        if self.moment == Moment::Confirmed && outcome.is_ok() {
            std::future::pending::<()>().await;
        }
        outcome
    }
}

/// Says that messages are sent when they are only on their way.
struct DoesNotWait(FutureProducer);

#[async_trait]
impl Publisher for DoesNotWait {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        for message in messages {
            let record = FutureRecord::to(message.topic.as_str())
                .key(message.key())
                .payload(message.event.data.as_json());
            drop(self.0.send_result(record));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_does_not_wait_for_confirmations_is_caught_by_the_oracle() {
    let kafka = OwnKafka::start().await.expect("an own Kafka starts");
    let case = Case::on(kafka.brokers(), kafka.fresh_topic("mutant"));
    let producer = ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create();
    let mutant = Arc::new(DoesNotWait(producer.expect("a valid configuration")));
    kafka.kill().await.expect("killed");
    let lost = case.append(20).await;
    let relay = case.host([case.relay_through(mutant)]);
    relay.reaches_head("relay:test").await;
    relay.kill().await;
    kafka.start_again().await.expect("started again");
    let hosted = case.host([case.relay(), case.consumer()]);
    let kept = case.append(20).await;
    case.handler.has_handled(&kept).await;
    let found = oracle::check(&case.store, &case.handler.handled()).await;
    assert!(found.is_err(), "the oracle must miss {} events", lost.len());
    hosted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_at_the_start_is_waited_for() {
    let kafka = OwnKafka::start().await.expect("an own Kafka starts");
    let case = Case::on(kafka.brokers(), kafka.fresh_topic("later"));
    kafka.kill().await.expect("killed");
    let ids = case.append(30).await;
    let error = case.publisher().publish(&[]).await;
    assert!(error.is_ok(), "nothing to send needs no broker");
    let hosted = case.host([case.relay(), case.consumer()]);
    kafka.start_again().await.expect("started again");
    case.handler.has_handled(&ids).await;
    case.holds().await;
    hosted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_lets_nothing_of_its_key_overtake_it() {
    let mut case = Case::shared().await;
    // One message per request, several requests at once: the next ones are on the wire already.
    case.config = case.config.with_setting("batch.num.messages", "1");
    create_topic(&case, "2000").await;
    let mut ids = case.append(3).await;
    let stream = StreamId::new("order", "large").expect("a valid stream");
    for number in 0..200 {
        let size = if number == 1 { 50_000 } else { 10 };
        let event = NewEvent::new("order.noted", &"x".repeat(size)).expect("JSON");
        ids.push(event.id);
        let append = Append::to(stream.clone(), ExpectedVersion::Any, vec![event]);
        case.store.append(append).await.expect("appended");
    }
    let relay = case.host([case.relay_in_pages_of(500)]);
    let failure = relay.fails().await;
    assert!(failure.contains("refuses message"), "{failure}");
    relay.stop().await;
    // Mended, it goes on where it stopped. Whatever it delivered before stands in front.
    allow_bytes(&case, "1000000").await;
    let hosted = case.host([case.relay(), case.consumer()]);
    case.handler.has_handled(&ids).await;
    case.holds().await;
    hosted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_record_is_set_aside_with_its_headers_the_error_and_its_origin() {
    let case = Case::shared().await;
    create_topic(&case, "1000000").await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", case.config.brokers())
        .create()
        .expect("a valid configuration");
    let headers = OwnedHeaders::new().insert(Header { key: "x-foreign", value: Some("kept") });
    let topic = case.topic();
    let record = FutureRecord::to(topic.as_str())
        .partition(1)
        .key("a key")
        .payload(&[0xffu8, 0x00][..])
        .headers(headers);
    producer.send(record, LONG).await.expect("the broker confirms");
    let hosted = case.host([case.relay(), case.consumer()]);
    let ids = case.append(30).await;
    case.handler.has_handled(&ids).await;
    let letter = first_record(&case, &format!("{}.dead-letter", case.topic())).await;
    assert_eq!(letter.payload.as_deref(), Some(&[0xff, 0x00][..]));
    assert_eq!(letter.key.as_deref(), Some(&b"a key"[..]));
    assert_eq!(letter.header("x-foreign"), "kept");
    assert_eq!(letter.header("highwater_origin_topic"), case.topic().as_str());
    assert_eq!(letter.header("highwater_origin_partition"), "1");
    assert_eq!(letter.header("highwater_origin_offset"), "0");
    assert!(letter.header("highwater_error").contains("not UTF-8"));
    case.holds().await;
    hosted.stop().await;
}

/// A record as a foreign consumer sees it.
struct Raw {
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Vec<(String, String)>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

async fn first_record(case: &Case, topic: &str) -> Raw {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", case.config.brokers())
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .expect("a valid configuration");
    consumer.subscribe(&[topic]).expect("a valid topic name");
    let receiving = async {
        loop {
            // Until the topic is there, the consumer reports that it isn't.
            if let Ok(message) = consumer.recv().await {
                return message.detach();
            }
        }
    };
    let record = tokio::time::timeout(LONG, receiving).await.expect("a record arrives");
    let headers = record.headers().map_or_else(Vec::new, |headers| {
        let text =
            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or(b"")).into_owned();
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Raw {
        key: record.key().map(<[u8]>::to_vec),
        payload: record.payload().map(<[u8]>::to_vec),
        headers,
    }
}

fn admin(case: &Case) -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", case.config.brokers())
        .create()
        .expect("a valid configuration")
}

async fn create_topic(case: &Case, max_message_bytes: &str) {
    let topic = case.topic();
    let new_topic = NewTopic::new(topic.as_str(), 3, TopicReplication::Fixed(1))
        .set("max.message.bytes", max_message_bytes);
    let created = admin(case).create_topics(&[new_topic], &AdminOptions::new()).await;
    created.expect("the broker answers").remove(0).expect("the topic is created");
}

async fn allow_bytes(case: &Case, max_message_bytes: &str) {
    use rdkafka::admin::{AlterConfig, ResourceSpecifier};
    let topic = case.topic();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic.as_str()))
        .set("max.message.bytes", max_message_bytes);
    let changed = admin(case).alter_configs(&[change], &AdminOptions::new()).await;
    changed.expect("the broker answers").remove(0).expect("the topic is changed");
}
