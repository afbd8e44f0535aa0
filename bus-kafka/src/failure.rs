//! What Kafka's errors mean: the one file that reads librdkafka's error codes.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::InvalidKafkaConfig;

/// What went wrong between us and the brokers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Kafka, or librdkafka, says so.
    #[error("Kafka at {brokers} failed; is it running, and reachable from here?")]
    Kafka {
        brokers: String,
        #[source]
        source: KafkaError,
    },
    /// Nobody answered.
    #[error(
        "Kafka at {brokers} did not confirm within {waited_ms} ms; is it running, and reachable from here?"
    )]
    Silent { brokers: String, waited_ms: u128 },
    /// The client was retired while a message was on its way, because another one failed.
    #[error("the Kafka producer was replaced while the message was on its way")]
    Retired,
}

/// Whether the broker refuses the message itself, so that a retry would end the same way.
///
/// A topic that doesn't exist isn't among them: somebody may create it meanwhile.
pub(crate) fn is_refusal(error: &KafkaError) -> bool {
    let KafkaError::MessageProduction(code) = error else {
        return false;
    };
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
    )
}

/// Whether the producer's queue has no room just now.
pub(crate) fn is_queue_full(error: &KafkaError) -> bool {
    *error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
}

/// Whether a consumer that met this error goes on by itself.
///
/// librdkafka reconnects, asks for metadata and rejoins the group on its own; what it calls fatal
/// ends the client.
pub(crate) fn is_passing(error: &KafkaError) -> bool {
    !matches!(error, KafkaError::MessageConsumptionFatal(_))
        && error.rdkafka_error_code() != Some(RDKafkaErrorCode::Fatal)
}

/// Whether a topic that could not be created may be there, or come, all the same.
pub(crate) fn may_exist_anyway(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAlreadyExists
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::UnsupportedFeature
    )
}

/// What is wrong with a configuration that librdkafka refused. Its own text may repeat a value, and
/// a value may be a secret.
pub(crate) fn config_error(error: KafkaError) -> InvalidKafkaConfig {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => InvalidKafkaConfig::Setting(name),
        other => InvalidKafkaConfig::Together(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_no_refusal() {
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::PurgeQueue,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::NotEnoughReplicas,
            RDKafkaErrorCode::BrokerTransportFailure,
            RDKafkaErrorCode::GaplessGuarantee,
        ] {
            assert!(!is_refusal(&KafkaError::MessageProduction(code)), "{code:?}");
        }
        let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(is_refusal(&too_large));
    }

    #[test]
    fn an_error_about_a_setting_does_not_repeat_its_value() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("security.protocol", "hunter2");
        let error = config.create_native_config().err().expect("no such protocol");
        let told = config_error(error);
        assert_eq!(told, InvalidKafkaConfig::Setting("security.protocol".to_owned()));
        assert!(!told.to_string().contains("hunter2"));
    }
}
