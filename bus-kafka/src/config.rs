//! How to reach a Kafka cluster, and which of librdkafka's settings the promises rest on.
//!
//! Every setting that this crate gives librdkafka stands here. What can hold a secret is never
//! shown, in `Debug` or in an error.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::ClientConfig;

/// Settings that the promises rest on: a user who changed one would lose messages or their order.
const RESERVED: [&str; 15] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "group.id",
    "group.protocol",
    "message.timeout.ms",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Why a configuration is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKafkaConfig {
    /// No broker is named.
    #[error("no Kafka broker is named; give host:port, several with commas between them")]
    NoBroker,
    /// The setting belongs to this crate, because its promises rest on it.
    #[error("Kafka setting {0:?} can't be changed: what this bus promises rests on it")]
    Reserved(String),
    /// librdkafka knows no such setting, or not this value. The value isn't repeated, since it may
    /// be a secret.
    #[error("Kafka setting {0:?} is unknown, or its value is not allowed")]
    Setting(String),
    /// librdkafka accepts each setting, and not all of them together.
    #[error("the Kafka settings don't fit together: {0}")]
    Together(String),
}

/// How to reach a Kafka cluster.
#[derive(Clone)]
pub struct KafkaConfig {
    brokers: String,
    settings: BTreeMap<String, String>,
    publish_timeout: Duration,
    partitions: i32,
    replicas: i32,
}

impl KafkaConfig {
    /// The cluster that `brokers` belong to: `host:port`, several with commas between them.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            settings: BTreeMap::new(),
            publish_timeout: Duration::from_secs(30),
            partitions: 6,
            replicas: -1,
        }
    }

    /// Gives librdkafka a setting of its own, such as `security.protocol`, `sasl.password`,
    /// `ssl.ca.location`, `message.max.bytes` or `linger.ms`.
    ///
    /// Values are never shown. Settings that the promises rest on are refused when the
    /// configuration is used.
    #[must_use]
    pub fn with_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// How long a publish waits for the broker's confirmations before it counts as failed (30 s
    /// unless told).
    #[must_use]
    pub fn with_publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How many partitions a topic gets that doesn't exist yet (6 unless told; at least 1).
    ///
    /// Never change the number for a topic that exists: keys would move to other partitions, and
    /// the order across the move isn't kept.
    #[must_use]
    pub fn with_partitions(mut self, partitions: u16) -> Self {
        self.partitions = i32::from(partitions.max(1));
        self
    }

    /// How many copies the broker keeps of a topic that doesn't exist yet (the broker's own default
    /// unless told).
    #[must_use]
    pub fn with_replicas(mut self, replicas: u16) -> Self {
        self.replicas = i32::from(replicas.max(1));
        self
    }

    /// `host:port`, several with commas between them.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    pub(crate) fn publish_timeout(&self) -> Duration {
        self.publish_timeout
    }

    pub(crate) fn partitions(&self) -> i32 {
        self.partitions
    }

    pub(crate) fn replicas(&self) -> i32 {
        self.replicas
    }

    /// Checks everything that can be checked without a broker.
    pub(crate) fn validate(&self) -> Result<(), InvalidKafkaConfig> {
        if self.brokers.split(',').all(|broker| broker.trim().is_empty()) {
            return Err(InvalidKafkaConfig::NoBroker);
        }
        match self.settings.keys().find(|name| RESERVED.contains(&name.as_str())) {
            Some(name) => Err(InvalidKafkaConfig::Reserved(name.clone())),
            None => Ok(()),
        }
    }

    /// A client that produces.
    ///
    /// What each setting is for:
    /// - idempotence and `acks=all`: a retry inside librdkafka neither doubles nor overtakes, and
    ///   what is confirmed survives the loss of a broker.
    /// - no `message.timeout.ms`: a timeout takes single messages out of the queue and lets later
    ///   ones go, which is a hole in a key's order. The publisher's own timeout ends the whole
    ///   session instead.
    /// - gapless: a message that the broker refuses ends the session as well, before a later one
    ///   of its partition is accepted.
    /// - `murmur2_random`: the partition of a key is the one that Kafka's Java clients compute.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        // Before the user's settings, which may change it: long enough to fill a batch from a page.
        config.set("linger.ms", "1");
        self.add_settings(&mut config);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true")
            .set("partitioner", "murmur2_random");
        config
    }

    /// A member of the consumer group `group`.
    ///
    /// A group without an offset starts at the beginning: a consumer that is new, or that was away
    /// for longer than offsets are kept, handles again rather than leaves out.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            .set("queued.max.messages.kbytes", "16384")
            // A consumer that was killed says no good-bye: its partitions go to another one after
            // this long (librdkafka would wait 45 s; brokers allow no less than 6).
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000");
        self.add_settings(&mut config);
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
    }

    /// A client that asks for topics.
    pub(crate) fn admin(&self) -> ClientConfig {
        let mut config = self.client();
        self.add_settings(&mut config);
        config
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "highwater")
            // A broker that comes back is found again within a second.
            .set("reconnect.backoff.max.ms", "1000");
        config
    }

    fn add_settings(&self, config: &mut ClientConfig) {
        for (name, value) in &self.settings {
            config.set(name, value);
        }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("publish_timeout", &self.publish_timeout)
            .field("partitions", &self.partitions)
            .field("replicas", &self.replicas)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value_of_a_setting() {
        let config = KafkaConfig::new("k:9092").with_setting("sasl.password", "hunter2");
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_setting_that_the_promises_rest_on_is_refused() {
        for name in RESERVED {
            let config = KafkaConfig::new("k:9092").with_setting(name, "x");
            assert_eq!(config.validate(), Err(InvalidKafkaConfig::Reserved(name.to_owned())));
        }
    }

    #[test]
    fn a_cluster_without_a_broker_is_refused() {
        for brokers in ["", " , "] {
            assert_eq!(KafkaConfig::new(brokers).validate(), Err(InvalidKafkaConfig::NoBroker));
        }
    }
}
