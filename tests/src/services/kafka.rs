//! Kafka for tests: one KRaft node for all, topics of its own for each test.
//!
//! Topics are created on first use. One node means a replication factor of one: what a test proves here about
//! brokers going down is about waiting and catching up, not about replicas.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::container::{Container, Recipe};
use super::own::{OwnInstance, OwnService};
use super::readiness::until_ready;
use super::{KAFKA_BROKERS, KAFKA_IMAGE, ServiceError, given_by_environment, unique_name};

const SERVICE: &str = "Kafka";
const ATTEMPT: Duration = Duration::from_secs(3);

const RECIPE: Recipe = Recipe {
    service: SERVICE,
    url_variable: KAFKA_BROKERS,
    image_variable: KAFKA_IMAGE,
    default_image: "apache/kafka-native:4.1.1",
    container_port: 9092,
    environment,
    command: &[],
    small_disk: None,
};

/// One node that is broker and controller. The advertised address is the host's, because the clients are there.
fn environment(host_port: u16) -> Vec<(&'static str, String)> {
    let advertised = format!("PLAINTEXT://127.0.0.1:{host_port}");
    let fixed = [
        ("CLUSTER_ID", "aGlnaHdhdGVyLXRlc3RzMQ"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ("KAFKA_LOG_DIRS", "/tmp/kafka-data"),
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "true"),
        ("KAFKA_NUM_PARTITIONS", "3"),
        // A single node can hold one copy only.
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
        // The defaults (50 partitions each) cost a small machine seconds at the first group join.
        ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "4"),
        ("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4"),
        // After a kill the node waits for its own earlier session to end: 9 s by default.
        ("KAFKA_BROKER_SESSION_TIMEOUT_MS", "3000"),
        ("KAFKA_BROKER_HEARTBEAT_INTERVAL_MS", "500"),
        // A first member needs not wait for others to join its group.
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    ];
    fixed
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .chain([("KAFKA_ADVERTISED_LISTENERS", advertised)])
        .collect()
}

/// A Kafka cluster of one node shared by all tests of the process.
pub struct KafkaService {
    brokers: String,
    _container: Option<Container>,
}

impl KafkaService {
    /// The cluster named by [`KAFKA_BROKERS`], or else a container of its own; answers when this returns.
    ///
    /// # Errors
    /// [`ServiceError::Start`] or [`ServiceError::NotReady`].
    pub async fn obtain() -> Result<Self, ServiceError> {
        let (brokers, container) = match given_by_environment(KAFKA_BROKERS) {
            Some(brokers) => (brokers, None),
            None => {
                let container = Container::start(&RECIPE).await?;
                (brokers_at(&container), Some(container))
            }
        };
        answers(&brokers).await?;
        Ok(Self { brokers, _container: container })
    }

    /// `host:port,…`, for `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// A topic name that no other test uses. The broker creates the topic, with three partitions, on first use.
    #[must_use]
    pub fn fresh_topic(&self, name: &str) -> String {
        fresh_topic(name)
    }

    /// Creates a topic that no other test uses, with `partitions` partitions, and returns its name.
    ///
    /// # Panics
    /// When the broker refuses, with its reason.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> String {
        create_topic(&self.brokers, name, partitions)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// A Kafka node that one test owns and may kill, pause and start again.
pub struct OwnKafka {
    container: Container,
    brokers: String,
}

impl OwnKafka {
    /// `host:port`, for `bootstrap.servers`.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// As [`KafkaService::fresh_topic`].
    #[must_use]
    pub fn fresh_topic(&self, name: &str) -> String {
        fresh_topic(name)
    }

    /// As [`KafkaService::create_topic`].
    ///
    /// # Panics
    /// When the broker refuses, with its reason.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> String {
        create_topic(&self.brokers, name, partitions)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl OwnService for OwnKafka {
    async fn start() -> Result<Self, ServiceError> {
        let container = Container::start(&RECIPE).await?;
        let brokers = brokers_at(&container);
        answers(&brokers).await?;
        Ok(Self { container, brokers })
    }

    async fn ready(&self) -> Result<(), ServiceError> {
        answers(&self.brokers).await
    }

    fn instance(&self) -> OwnInstance<'_> {
        OwnInstance::Container(&self.container)
    }
}

fn brokers_at(container: &Container) -> String {
    format!("127.0.0.1:{}", container.host_port())
}

fn fresh_topic(name: &str) -> String {
    format!("{name}-{}", unique_name())
}

async fn answers(brokers: &str) -> Result<(), ServiceError> {
    until_ready(SERVICE, brokers, || {
        let brokers = brokers.to_owned();
        async move {
            // librdkafka blocks its caller for metadata.
            match tokio::task::spawn_blocking(move || has_broker(&brokers)).await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(panicked) => Err(panicked.to_string()),
            }
        }
    })
    .await
}

/// Metadata that names at least one broker: while it recovers, a node accepts connections and knows of none.
fn has_broker(brokers: &str) -> Result<(), KafkaError> {
    // A refused connection is tried again soon, or every start would seem to last a whole attempt.
    let consumer: BaseConsumer = client(brokers)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        .create()?;
    let metadata = consumer.fetch_metadata(None, ATTEMPT)?;
    if metadata.brokers().is_empty() {
        return Err(KafkaError::MetadataFetch(rdkafka::types::RDKafkaErrorCode::AllBrokersDown));
    }
    Ok(())
}

async fn create_topic(brokers: &str, name: &str, partitions: i32) -> Result<String, ServiceError> {
    let topic = fresh_topic(name);
    let refused =
        |reason: String| ServiceError::Setup { action: format!("create topic {topic}"), reason };
    let admin: AdminClient<DefaultClientContext> =
        client(brokers).create().map_err(|error| refused(error.to_string()))?;
    let new_topic = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let outcomes = admin
        .create_topics(&[new_topic], &AdminOptions::new())
        .await
        .map_err(|error| refused(error.to_string()))?;
    if let Some(Err((_, code))) = outcomes.into_iter().next() {
        return Err(refused(code.to_string()));
    }
    Ok(topic)
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}
