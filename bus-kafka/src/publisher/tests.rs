//! The publisher against librdkafka's mock cluster: real sockets and requests, failures on demand.

use std::time::Duration;

use highwater_core::bus::Topic;
use highwater_core::{
    EventId, EventType, GlobalPosition, Metadata, Payload, RecordedEvent, StreamId, StreamVersion,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::*;
use crate::wire::Record;

const TOPIC: &str = "shop.order.v1";
const LONG: Duration = Duration::from_secs(30);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic(TOPIC, 3, 1).expect("a topic");
    cluster
}

fn publisher(cluster: &Cluster, patience: Duration) -> KafkaPublisher {
    let config = KafkaConfig::new(cluster.bootstrap_servers()).with_publish_timeout(patience);
    KafkaPublisher::connect(config).expect("a valid configuration")
}

fn messages(range: std::ops::Range<u64>) -> Vec<Message> {
    range.map(message).collect()
}

fn message(number: u64) -> Message {
    let event = RecordedEvent {
        id: EventId::new(),
        event_type: EventType::from_static("order.noted"),
        schema_version: 1,
        stream: StreamId::new("order", number % 4).expect("a valid stream"),
        version: StreamVersion::new(number / 4 + 1),
        position: GlobalPosition::new(number + 1),
        recorded_at: jiff::Timestamp::now(),
        data: Payload::from_value(&number).expect("JSON"),
        tags: Vec::new(),
        metadata: Metadata::default(),
    };
    Message::new(Topic::new(TOPIC), event)
}

/// The first `count` messages that lie in the topic, in each partition's order.
async fn received(cluster: &Cluster, count: usize) -> Vec<Message> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a valid configuration");
    consumer.subscribe(&[TOPIC]).expect("a valid topic");
    let receiving = async {
        let mut received = Vec::new();
        while received.len() < count {
            let record = Record::received(&consumer.recv().await.expect("a record"));
            received.push(record.message().expect("a message"));
        }
        received
    };
    tokio::time::timeout(LONG, receiving).await.expect("all of them arrive")
}

fn by_stream(messages: &[Message]) -> Vec<Vec<EventId>> {
    let ids = |key| {
        let of_stream = messages.iter().filter(|message| message.event.stream.key() == key);
        of_stream.map(Message::id).collect()
    };
    ["0", "1", "2", "3"].into_iter().map(ids).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_lies_in_the_topic_whole_and_in_order() {
    let cluster = cluster();
    let sent = messages(0..200);
    publisher(&cluster, LONG).publish(&sent).await.expect("confirmed");
    let received = received(&cluster, sent.len()).await;
    assert_eq!(by_stream(&received), by_stream(&sent));
    let first = received.iter().find(|message| message.id() == sent[0].id());
    assert_eq!(first, Some(&sent[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_passes_makes_no_gap_and_no_second_copy() {
    let cluster = cluster();
    let publisher = publisher(&cluster, LONG);
    publisher.publish(&messages(0..1)).await.expect("confirmed");
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ],
    );
    let sent = messages(0..100);
    publisher.publish(&sent).await.expect("confirmed in the end");
    let received = received(&cluster, 1 + sent.len()).await;
    assert_eq!(by_stream(&received[..]).concat().len(), 101);
    let known = |message: &&Message| sent.iter().any(|sent| sent.id() == message.id());
    let ours: Vec<_> = received.iter().filter(known).cloned().collect();
    assert_eq!(by_stream(&ours), by_stream(&sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_down_is_unavailable_and_a_repetition_delivers_everything() {
    let cluster = cluster();
    let publisher = publisher(&cluster, Duration::from_secs(2));
    let sent = messages(0..50);
    publisher.publish(&sent[..10]).await.expect("confirmed");
    cluster.broker_down(1).expect("the broker goes down");
    let error = publisher.publish(&sent[10..]).await.expect_err("nobody confirms");
    assert!(error.is_retryable(), "{error}");
    cluster.broker_up(1).expect("the broker comes up");
    while let Err(error) = publisher.publish(&sent[10..]).await {
        assert!(error.is_retryable(), "{error}");
    }
    let received = received(&cluster, sent.len()).await;
    assert_eq!(by_stream(&received), by_stream(&sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_is_named_and_the_publisher_works_on() {
    let cluster = cluster();
    let publisher = publisher(&cluster, LONG);
    let sent = messages(0..3);
    publisher.publish(&sent[..1]).await.expect("confirmed");
    cluster.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE],
    );
    let error = publisher.publish(&sent[1..2]).await.expect_err("refused");
    assert!(!error.is_retryable());
    assert!(error.to_string().contains(&sent[1].id().to_string()), "{error}");
    publisher.publish(&sent[1..]).await.expect("a new session");
    assert_eq!(by_stream(&received(&cluster, 3).await), by_stream(&sent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_publish_leaves_a_publisher_that_keeps_the_order() {
    let cluster = cluster();
    let publisher = publisher(&cluster, LONG);
    let sent = messages(0..100);
    publisher.publish(&sent[..1]).await.expect("confirmed");
    tokio::select! {
        biased;
        _ = publisher.publish(&sent[1..60]) => {}
        () = tokio::task::yield_now() => {}
    }
    publisher.publish(&sent[1..]).await.expect("confirmed");
    let mut seen = std::collections::HashSet::new();
    let mut news = received(&cluster, sent.len()).await;
    news.retain(|message| seen.insert(message.id()));
    let whole = by_stream(&sent);
    for (news, sent) in by_stream(&news).iter().zip(&whole) {
        assert!(sent.starts_with(news), "a beginning of what was sent");
    }
}
