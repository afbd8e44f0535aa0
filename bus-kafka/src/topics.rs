//! Makes sure that topics exist, so that nothing depends on how a cluster creates them by itself.

use std::collections::BTreeSet;
use std::time::Duration;

use highwater_core::bus::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult};

use crate::KafkaConfig;
use crate::failure::{Failure, may_exist_anyway};

/// How long a broker may take to answer a question about topics.
const PATIENCE: Duration = Duration::from_secs(10);

type Admin = AdminClient<DefaultClientContext>;

/// Creates those of `topics` that don't exist yet.
///
/// Where we aren't allowed to create topics, they are taken as somebody else's business: whoever
/// uses them will hear if they are missing.
///
/// # Cancel safety
/// A dropped call may have created some; call again.
pub(crate) async fn ensure_topics(
    config: &KafkaConfig,
    topics: &BTreeSet<Topic>,
) -> Result<(), Failure> {
    ensure(config, topics)
        .await
        .map_err(|source| Failure::Kafka { brokers: config.brokers().to_owned(), source })
}

async fn ensure(config: &KafkaConfig, topics: &BTreeSet<Topic>) -> KafkaResult<()> {
    let patience = PATIENCE.min(config.publish_timeout());
    let admin: Admin = config.admin().create()?;
    // librdkafka blocks its caller for metadata.
    let asking = tokio::task::spawn_blocking(move || {
        let existing = existing(&admin, patience)?;
        Ok::<_, KafkaError>((admin, existing))
    });
    let (admin, existing) = asking.await.map_err(|_| KafkaError::Canceled)??;
    let missing: Vec<_> =
        topics.iter().filter(|topic| !existing.contains(topic.as_str())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    create(&admin, config, &missing, patience).await
}

/// The names of all topics. Asking for one by its name could make a cluster create it, with a number
/// of partitions that nobody chose.
fn existing(admin: &Admin, patience: Duration) -> KafkaResult<BTreeSet<String>> {
    let metadata = admin.inner().fetch_metadata(None, patience)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}

async fn create(
    admin: &Admin,
    config: &KafkaConfig,
    missing: &[&Topic],
    patience: Duration,
) -> KafkaResult<()> {
    let new_topics: Vec<_> = missing
        .iter()
        .map(|topic| {
            let replicas = TopicReplication::Fixed(config.replicas());
            NewTopic::new(topic.as_str(), config.partitions(), replicas)
        })
        .collect();
    let options =
        AdminOptions::new().request_timeout(Some(patience)).operation_timeout(Some(patience));
    let outcomes = match admin.create_topics(&new_topics, &options).await {
        Ok(outcomes) => outcomes,
        Err(KafkaError::AdminOp(code)) if may_exist_anyway(code) => return Ok(()),
        Err(error) => return Err(error),
    };
    for outcome in outcomes {
        match outcome {
            Ok(topic) => tracing::info!(topic, partitions = config.partitions(), "created a topic"),
            Err((_, code)) if may_exist_anyway(code) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
}
