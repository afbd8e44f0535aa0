//! A producer that is replaced when it fails: records out, confirmations in.
//!
//! It owns sessions with the brokers and what keeps a key's order through their failures. What the
//! records mean is left to the publisher and the dead letters.
//!
//! # Why a failure breaks no key's order
//! 1. A *session* is the life of one librdkafka producer. Idempotence makes a session deliver the
//!    records of a partition in the order in which they were enqueued, each once.
//! 2. A session leaves none out: records have no time-out of their own, and one that a broker
//!    refuses is fatal to the session (`enable.gapless.guarantee`). So what a session has delivered
//!    of a key is, at any moment, a beginning of what it was given.
//! 3. After the first failure a session is retired: under one lock it takes no further record, and
//!    only then its queue is purged. Nothing can be delivered behind what the purge took out.
//! 4. The caller repeats the failed call, and with it everything that it has no confirmation for,
//!    in order, on a new session. What the old one still has on the wire may arrive between: a
//!    beginning of the same records, so only repetitions of what the new session brings, or
//!    records that come first. With repetitions left out, the order is the caller's.
//! 5. A call that is dropped leaves its records enqueued on a living session. The caller's
//!    repetition is enqueued behind them: a beginning, then everything.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use highwater_core::bus::Topic;
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::DeliveryFuture;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode;

use crate::failure::{Failure, config_error, is_queue_full, is_refusal};
use crate::topics::ensure_topics;
use crate::{InvalidKafkaConfig, KafkaConfig};

/// How soon a full queue is tried again when none of its records is ours to wait for.
const QUEUE_POLL: Duration = Duration::from_millis(5);

/// A record on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a Topic,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
}

/// Why not every record is known to have arrived.
pub(crate) struct Undelivered {
    /// Which record the failure is about, by its place in the call.
    pub(crate) index: usize,
    /// True if the broker refuses that record itself.
    pub(crate) is_refused: bool,
    /// Boxed, because success is what travels through here all day.
    pub(crate) failure: Box<Failure>,
}

/// Delivers records through one session after another.
pub(crate) struct Producer {
    config: KafkaConfig,
    session: Mutex<Option<Arc<Session>>>,
    /// Topics that are known to exist. Forgotten after a failure: one may have been deleted.
    topics: Mutex<BTreeSet<Topic>>,
}

impl Producer {
    pub(crate) fn new(config: KafkaConfig) -> Result<Self, InvalidKafkaConfig> {
        config.validate()?;
        let first = Session::open(&config).map_err(config_error)?;
        Ok(Self { config, session: Mutex::new(Some(Arc::new(first))), topics: Mutex::default() })
    }

    pub(crate) fn brokers(&self) -> &str {
        self.config.brokers()
    }

    /// Returns once the brokers have confirmed every record.
    ///
    /// # Cancel safety
    /// Records of a dropped call may arrive or not; invariant 5.
    pub(crate) async fn deliver(&self, records: &[Outgoing<'_>]) -> Result<(), Undelivered> {
        let session =
            self.current().map_err(|error| undelivered(0, Some(error), self.brokers()))?;
        let patience = self.config.publish_timeout();
        let delivering = async {
            self.ensure(records).await?;
            session.deliver(records, self.brokers()).await
        };
        let outcome = tokio::time::timeout(patience, delivering).await.unwrap_or_else(|_| {
            let brokers = self.brokers().to_owned();
            let failure = Failure::Silent { brokers, waited_ms: patience.as_millis() };
            Err(Undelivered { index: 0, is_refused: false, failure: Box::new(failure) })
        });
        if outcome.is_err() {
            self.replace(&session);
        }
        outcome
    }

    async fn ensure(&self, records: &[Outgoing<'_>]) -> Result<(), Undelivered> {
        let missing: BTreeSet<_> = {
            let known = lock(&self.topics);
            records
                .iter()
                .map(|record| record.topic)
                .filter(|topic| !known.contains(topic))
                .cloned()
                .collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        ensure_topics(&self.config, &missing).await.map_err(|failure| Undelivered {
            index: 0,
            is_refused: false,
            failure: Box::new(failure),
        })?;
        lock(&self.topics).extend(missing);
        Ok(())
    }

    fn current(&self) -> Result<Arc<Session>, KafkaError> {
        let mut session = lock(&self.session);
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let opened = Arc::new(Session::open(&self.config)?);
        *session = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn replace(&self, failed: &Arc<Session>) {
        failed.retire();
        lock(&self.topics).clear();
        let mut session = lock(&self.session);
        // Another caller of the same session may have replaced it already.
        if session.as_ref().is_some_and(|current| Arc::ptr_eq(current, failed)) {
            *session = None;
        }
    }
}

/// librdkafka's own messages: it reconnects by itself, so what it calls an error is a warning here.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka producer reports trouble");
    }
}

/// One librdkafka producer, until its first failure.
struct Session {
    /// Taken out only when the session ends.
    producer: Option<FutureProducer<Quiet>>,
    is_retired: RwLock<bool>,
}

impl Session {
    fn open(config: &KafkaConfig) -> Result<Self, KafkaError> {
        let producer = FutureProducer::from_config_and_context(&config.producer(), Quiet)?;
        Ok(Self { producer: Some(producer), is_retired: RwLock::new(false) })
    }

    async fn deliver(&self, records: &[Outgoing<'_>], brokers: &str) -> Result<(), Undelivered> {
        let mut confirmations = VecDeque::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            loop {
                match self.enqueue(record) {
                    Ok(confirmation) => confirmations.push_back((index, confirmation)),
                    Err(Some(source)) if is_queue_full(&source) => {
                        self.make_room(&mut confirmations, brokers).await?;
                        continue;
                    }
                    Err(cause) => return Err(undelivered(index, cause, brokers)),
                }
                break;
            }
        }
        self.settle_all(confirmations, brokers).await
    }

    /// Hands a record to librdkafka; the error is `None` if the session takes no more.
    fn enqueue(&self, record: &Outgoing<'_>) -> Result<DeliveryFuture, Option<KafkaError>> {
        let mut outgoing: FutureRecord<'_, [u8], [u8]> =
            FutureRecord::to(record.topic.as_str()).headers(record.headers.clone());
        outgoing.key = record.key;
        outgoing.payload = record.value;
        // Held until the record is enqueued: invariant 3.
        let is_retired = self.is_retired.read().unwrap_or_else(PoisonError::into_inner);
        match &self.producer {
            Some(producer) if !*is_retired => {
                producer.send_result(outgoing).map_err(|(error, _)| Some(error))
            }
            _ => Err(None),
        }
    }

    /// Waits for the oldest record of this call: the queue's back-pressure reaches the caller.
    async fn make_room(
        &self,
        confirmations: &mut VecDeque<(usize, DeliveryFuture)>,
        brokers: &str,
    ) -> Result<(), Undelivered> {
        match confirmations.pop_front() {
            Some((index, confirmation)) => settle(index, confirmation, brokers).await,
            None => {
                tokio::time::sleep(QUEUE_POLL).await;
                Ok(())
            }
        }
    }

    /// Waits for every record. If several failed, a refusal is told before its consequences.
    async fn settle_all(
        &self,
        confirmations: VecDeque<(usize, DeliveryFuture)>,
        brokers: &str,
    ) -> Result<(), Undelivered> {
        let mut worst: Option<Undelivered> = None;
        for (index, confirmation) in confirmations {
            let Err(error) = settle(index, confirmation, brokers).await else {
                continue;
            };
            self.retire();
            let is_refused = worst.as_ref().is_some_and(|worst| worst.is_refused);
            if worst.is_none() || (error.is_refused && !is_refused) {
                worst = Some(error);
            }
        }
        worst.map_or(Ok(()), Err)
    }

    fn retire(&self) {
        let mut is_retired = self.is_retired.write().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *is_retired, true)
            && let Some(producer) = &self.producer
        {
            producer.purge(PurgeConfig::default().queue().inflight());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(producer) = self.producer.take() else {
            return;
        };
        // Closing waits for librdkafka's threads, which must not hold up a runtime's worker.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(producer))),
            Err(_) => drop(producer),
        }
    }
}

async fn settle(
    index: usize,
    confirmation: DeliveryFuture,
    brokers: &str,
) -> Result<(), Undelivered> {
    let cause = match confirmation.await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err((error, _))) if !is_purged(&error) => Some(error),
        _ => None,
    };
    Err(undelivered(index, cause, brokers))
}

/// What a failed record means; no cause if the session was retired around it.
fn undelivered(index: usize, cause: Option<KafkaError>, brokers: &str) -> Undelivered {
    let is_refused = cause.as_ref().is_some_and(is_refusal);
    let failure = cause
        .map_or(Failure::Retired, |source| Failure::Kafka { brokers: brokers.to_owned(), source });
    Undelivered { index, is_refused, failure: Box::new(failure) }
}

fn is_purged(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is replaced whole, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
