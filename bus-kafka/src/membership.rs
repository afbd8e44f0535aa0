//! Membership of a consumer group: partitions come and go here, and nowhere else.
//!
//! It owns the life of the librdkafka consumer and when partitions are given back. What is done
//! with their records is the consumer's.
//!
//! # Invariants
//! 1. librdkafka asks for partitions back in a callback, which runs inside of a poll and must not
//!    wait. So the request is handed on, and the partitions are given back later, by
//!    [`Member::give_back`], when what was begun on them has ended. Until then librdkafka keeps
//!    the group waiting, and nobody else gets them.
//! 2. Partitions that are lost already (the group went on without us) are given back at once:
//!    somebody else may have them.
//! 3. Once the member is leaving, every request is answered at once, since nobody is there to
//!    answer it later: closing would wait for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use tokio::sync::mpsc;

use crate::lanes::Partition;
use crate::wire::Record;

/// librdkafka asks for one set of partitions at a time, and waits for it.
const REQUESTS: usize = 4;

/// Partitions that the group asks back.
pub(crate) struct Revoked {
    pub(crate) partitions: Vec<Partition>,
    /// True if they are gone already: nothing about them can be committed.
    pub(crate) are_lost: bool,
}

pub(crate) struct Membership {
    revoked: mpsc::Sender<Revoked>,
    is_leaving: AtomicBool,
    /// Asked back and not yet given back.
    owed: Mutex<Vec<Partition>>,
}

impl Membership {
    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let are_lost = consumer.assignment_lost();
        let is_leaving = self.is_leaving.load(Ordering::Acquire);
        let partitions: Vec<_> = list
            .elements()
            .iter()
            .map(|element| Partition::new(element.topic(), element.partition()))
            .collect();
        if is_leaving || are_lost {
            let _ = self.revoked.try_send(Revoked { partitions, are_lost: true });
            return unassign(consumer, list);
        }
        self.owed().extend(partitions.iter().cloned());
        if self.revoked.try_send(Revoked { partitions, are_lost: false }).is_err() {
            self.owed().clear();
            unassign(consumer, list);
        }
    }

    fn owed(&self) -> std::sync::MutexGuard<'_, Vec<Partition>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the Kafka consumer reports trouble");
    }
}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        tracing::debug!(?what, count = partitions.count(), "the group moves partitions");
        if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            // One that was paused when it left us comes back with an empty lane.
            let taken =
                consumer.incremental_assign(partitions).and_then(|()| consumer.resume(partitions));
            if let Err(error) = taken {
                tracing::warn!(%error, "could not take the partitions that the group assigned");
            }
        } else {
            self.revoke(consumer, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            // The next commit covers it; until then a crash means repetitions.
            tracing::warn!(%error, "Kafka did not take the offsets");
        }
    }
}

fn unassign(consumer: &BaseConsumer<Membership>, partitions: &TopicPartitionList) {
    if let Err(error) = consumer.incremental_unassign(partitions) {
        tracing::warn!(%error, "could not give the partitions back");
    }
}

/// A member of a consumer group. Dropping it leaves the group, on a thread that may wait.
pub(crate) struct Member {
    /// Taken out only when the member leaves.
    consumer: Option<StreamConsumer<Membership>>,
}

impl Member {
    /// Joins the group of `config` for `topics`.
    pub(crate) fn join(
        config: &ClientConfig,
        topics: &[&str],
    ) -> Result<(Self, mpsc::Receiver<Revoked>), KafkaError> {
        let (revoked, requests) = mpsc::channel(REQUESTS);
        let membership =
            Membership { revoked, is_leaving: AtomicBool::new(false), owed: Mutex::default() };
        let consumer = StreamConsumer::from_config_and_context(config, membership)?;
        let member = Self { consumer: Some(consumer) };
        if let Some(consumer) = &member.consumer {
            consumer.subscribe(topics)?;
        }
        Ok((member, requests))
    }

    /// Receives the next record. Cancel safe: a record is taken when it is returned.
    pub(crate) async fn receive(&self) -> Result<Record, KafkaError> {
        match &self.consumer {
            Some(consumer) => consumer.recv().await.map(|message| Record::received(&message)),
            None => Err(KafkaError::Canceled),
        }
    }

    /// Stops or starts fetching a partition. Fetched records that weren't received are fetched
    /// again.
    pub(crate) fn fetch(&self, partition: &Partition, is_wanted: bool) {
        let list = list([partition]);
        let done = self.consumer.as_ref().map(|consumer| match is_wanted {
            true => consumer.resume(&list),
            false => consumer.pause(&list),
        });
        if let Some(Err(error)) = done {
            // The partition may have left meanwhile.
            tracing::debug!(%error, %partition, is_wanted, "could not pause or resume");
        }
    }

    /// Says how far partitions were handled. Blocks with `CommitMode::Sync`.
    pub(crate) fn commit(&self, offsets: &[(Partition, i64)], mode: CommitMode) {
        if offsets.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in offsets {
            let (topic, number) = (&partition.topic, partition.number);
            if let Err(error) = list.add_partition_offset(topic, number, Offset::Offset(*next)) {
                tracing::warn!(%error, %partition, next, "could not name an offset");
            }
        }
        let done = self.consumer.as_ref().map(|consumer| consumer.commit(&list, mode));
        if let Some(Err(error)) = done {
            tracing::warn!(%error, "could not commit offsets");
        }
    }

    /// Gives back what the group asked for. A commit that was begun before goes out before.
    pub(crate) fn give_back(&self, partitions: &[Partition]) {
        if let Some(consumer) = &self.consumer {
            consumer.context().owed().retain(|owed| !partitions.contains(owed));
            if let Err(error) = consumer.incremental_unassign(&list(partitions)) {
                tracing::warn!(%error, "could not give the partitions back");
            }
        }
    }

    /// Says how far partitions were handled, and leaves the group. Blocks.
    pub(crate) fn leave(mut self, handled: &[(Partition, i64)]) {
        self.commit(handled, CommitMode::Sync);
        if let Some(consumer) = self.release() {
            drop(consumer);
        }
    }

    /// Takes the consumer out, ready to be closed.
    fn release(&mut self) -> Option<StreamConsumer<Membership>> {
        let consumer = self.consumer.take()?;
        consumer.context().is_leaving.store(true, Ordering::Release);
        let owed = std::mem::take(&mut *consumer.context().owed());
        if !owed.is_empty() {
            let _ = consumer.incremental_unassign(&list(&owed));
        }
        Some(consumer)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let Some(consumer) = self.release() else {
            return;
        };
        // Leaving a group waits for the broker, which must not hold up a runtime's worker.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(consumer))),
            Err(_) => drop(consumer),
        }
    }
}

fn list<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}
