//! Hands Kafka's messages to a handler, as a member of a consumer group.
//!
//! It owns when a handler is called, when an offset is committed and what becomes of a message that
//! can't be handled. Partitions come and go in `membership.rs`; what waits where is `lanes.rs`.
//!
//! # Invariants
//! 1. One task does everything here: it polls, starts handling, and commits. Handlers of different
//!    partitions take turns on it; nothing else touches the lanes.
//! 2. It never stops polling while a handler works or waits for its next try, so a slow handler
//!    doesn't cost the membership. What arrives meanwhile waits in its lane, and a full lane pauses
//!    its partition.
//! 3. An offset is committed only after the effect of every record before it is durable, or the
//!    record lies in the dead-letter topic, confirmed.
//! 4. Partitions that the group wants back are given back when the record in hand has ended and its
//!    offset is on its way, or after `HAND_OVER`, whichever comes first. In the second case the next
//!    member gets that record again, which a handler recognises.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use highwater_core::bus::{HandleError, MessageHandler};
use highwater_core::{Component, ComponentContext, ComponentError};
use rdkafka::consumer::CommitMode;
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::dead_letter::DeadLetters;
use crate::failure::{Failure, config_error, is_passing};
use crate::lanes::{Job, Lanes, Next, Partition};
use crate::membership::{Member, Revoked};
use crate::topics::ensure_topics;
use crate::wire::Record;
use crate::{InvalidKafkaConfig, KafkaConfig};

/// How often offsets are committed: what a crash repeats at most, in time.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// How long the record in hand may take when its partition is wanted elsewhere, or at shutdown.
const HAND_OVER: Duration = Duration::from_secs(5);

/// What becomes of a message that can't be handled, or read at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoisonPolicy {
    /// It is written to the topic `<topic>.dead-letter`, as it came and with the error and its
    /// origin in the headers; then the later ones go on, those of the same key too.
    #[default]
    DeadLetterTopic,
    /// The consumer stops in front of it and reports itself as failed, until somebody mends the
    /// cause and starts it again. Choose it where a later message must not be handled without an
    /// earlier one of its key.
    Pause,
}

/// Hands messages to a handler: at least once, a partition's messages in order, nothing left out.
///
/// The handler's name is the consumer group; run as many processes as there are partitions. An
/// offset is committed after the handler's effect, so a crash means repetitions, never loss.
///
/// It reports no position to [`Progress`](highwater_core::Progress): what a topic holds says
/// nothing about how far the log has come.
pub struct KafkaConsumer {
    name: String,
    config: KafkaConfig,
    handler: Arc<dyn MessageHandler>,
    dead_letters: Arc<DeadLetters>,
    policy: PoisonPolicy,
}

impl KafkaConsumer {
    /// A consumer of the handler's topics. Its component is called `consumer:<name>`, by the
    /// handler's name.
    ///
    /// # Errors
    /// [`InvalidKafkaConfig`] if no broker could make the configuration work.
    pub fn new(
        config: KafkaConfig,
        handler: impl MessageHandler,
    ) -> Result<Self, InvalidKafkaConfig> {
        let group = handler.consumer();
        let dead_letters = DeadLetters::new(config.clone(), group)?;
        config.consumer(group).create_native_config().map_err(config_error)?;
        Ok(Self {
            name: format!("consumer:{group}"),
            dead_letters: Arc::new(dead_letters),
            handler: Arc::new(handler),
            policy: PoisonPolicy::default(),
            config,
        })
    }

    /// Decides what becomes of a message that can't be handled.
    #[must_use]
    pub fn with_poison_policy(mut self, policy: PoisonPolicy) -> Self {
        self.policy = policy;
        self
    }

    async fn join(&self) -> Result<(Member, mpsc::Receiver<Revoked>), ComponentError> {
        let topics = self.handler.topics();
        let doing = || format!("joining the consumer group of {}", self.name);
        ensure_topics(&self.config, &topics.iter().cloned().collect())
            .await
            .map_err(|failure| ComponentError::retry(doing(), failure))?;
        let names: Vec<_> = topics.iter().map(|topic| topic.as_str()).collect();
        let config = self.config.consumer(self.handler.consumer());
        Member::join(&config, &names)
            .map_err(|error| ComponentError::retry(doing(), self.kafka(error)))
    }

    fn kafka(&self, source: KafkaError) -> Failure {
        Failure::Kafka { brokers: self.config.brokers().to_owned(), source }
    }
}

#[async_trait]
impl Component for KafkaConsumer {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        let (member, revoked) = tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            joined = self.join() => joined?,
        };
        let mut shift = Shift {
            consumer: self,
            member,
            lanes: Lanes::default(),
            running: FuturesUnordered::new(),
            owed: None,
        };
        let end = shift.work(revoked, &context.shutdown).await;
        shift.end().await;
        end
    }
}

/// Partitions that are to be given back once their lanes are idle.
struct Owed {
    partitions: Vec<Partition>,
    overdue_at: Instant,
}

/// How a record ended, and whose it was.
struct Ended {
    lane: u64,
    partition: Partition,
    offset: i64,
    how: Settled,
}

enum Settled {
    Handled,
    /// The lane ended before the record was handled.
    Left,
    /// The consumer can't go on past it.
    Stuck(ComponentError),
}

/// One membership of the group, from joining to leaving.
struct Shift<'a> {
    consumer: &'a KafkaConsumer,
    member: Member,
    lanes: Lanes,
    running: FuturesUnordered<BoxFuture<'a, Ended>>,
    owed: Option<Owed>,
}

impl Shift<'_> {
    async fn work(
        &mut self,
        mut revoked: mpsc::Receiver<Revoked>,
        shutdown: &CancellationToken,
    ) -> Result<(), ComponentError> {
        let mut commit = tokio::time::interval(COMMIT_EVERY);
        commit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let overdue_at = self.owed.as_ref().map(|owed| owed.overdue_at);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(ended) = self.running.next() => self.ended(ended)?,
                Some(revoked) = revoked.recv() => self.revoke(revoked),
                () = until(overdue_at) => self.give_back(),
                _ = commit.tick() => {
                    let offsets = self.lanes.take_uncommitted();
                    self.member.commit(&offsets, CommitMode::Async);
                }
                received = self.member.receive() => self.received(received)?,
            }
        }
    }

    fn received(&mut self, received: Result<Record, KafkaError>) -> Result<(), ComponentError> {
        match received {
            Ok(record) => {
                let partition = Partition::new(&record.topic, record.partition);
                let next = self.lanes.arrive(record);
                self.go_on(&partition, next);
                Ok(())
            }
            Err(error) if is_passing(&error) => {
                tracing::warn!(component = self.consumer.name, %error, "receiving goes on");
                Ok(())
            }
            Err(error) => {
                let doing = format!("receiving messages for {}", self.consumer.name);
                Err(ComponentError::retry(doing, self.consumer.kafka(error)))
            }
        }
    }

    fn ended(&mut self, ended: Ended) -> Result<(), ComponentError> {
        let handled = match ended.how {
            Settled::Handled => Some(ended.offset),
            Settled::Left => None,
            Settled::Stuck(error) => return Err(error),
        };
        let next = self.lanes.ended(&ended.partition, ended.lane, handled);
        self.go_on(&ended.partition, next);
        if self.owed.as_ref().is_some_and(|owed| self.lanes.are_idle(&owed.partitions)) {
            self.give_back();
        }
        Ok(())
    }

    fn go_on(&mut self, partition: &Partition, next: Next) {
        if let Some(is_wanted) = next.fetch {
            self.member.fetch(partition, is_wanted);
        }
        if let Some(job) = next.job {
            self.running.push(Box::pin(self.consumer.settle(job)));
        }
    }

    fn revoke(&mut self, revoked: Revoked) {
        self.lanes.stop(&revoked.partitions);
        if revoked.are_lost {
            self.lanes.remove(&revoked.partitions);
            return;
        }
        let mut partitions = revoked.partitions;
        if let Some(earlier) = self.owed.take() {
            partitions.extend(earlier.partitions);
        }
        let is_idle = self.lanes.are_idle(&partitions);
        self.owed = Some(Owed { partitions, overdue_at: Instant::now() + HAND_OVER });
        if is_idle {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(owed) = self.owed.take() {
            let offsets = self.lanes.remove(&owed.partitions);
            self.member.commit(&offsets, CommitMode::Async);
            self.member.give_back(&owed.partitions);
        }
    }

    /// Lets the records in hand end, commits what was handled, and leaves the group.
    async fn end(mut self) {
        self.lanes.stop_all();
        let drained = async {
            while let Some(ended) = self.running.next().await {
                if let Settled::Handled = ended.how {
                    self.lanes.ended(&ended.partition, ended.lane, Some(ended.offset));
                }
            }
        };
        let _ = tokio::time::timeout(HAND_OVER, drained).await;
        let (member, handled) = (self.member, self.lanes.handled());
        let left = tokio::task::spawn_blocking(move || member.leave(&handled));
        if let Err(error) = left.await {
            tracing::warn!(component = self.consumer.name, %error, "leaving the group failed");
        }
    }
}

impl KafkaConsumer {
    async fn settle(&self, job: Job) -> Ended {
        let how = match job.record.message() {
            Ok(message) => match self.handle(&message, &job.stop).await {
                Ok(true) => Settled::Handled,
                Ok(false) => Settled::Left,
                Err(poison) => self.poisoned(&job, poison).await,
            },
            Err(unreadable) => self.poisoned(&job, HandleError::poison(unreadable)).await,
        };
        Ended { lane: job.lane, partition: job.partition, offset: job.record.offset, how }
    }

    /// Handles a message, again and again while something isn't there; `Ok(false)` if the lane
    /// ended before. The error is poison.
    async fn handle(
        &self,
        message: &highwater_core::bus::Message,
        stop: &CancellationToken,
    ) -> Result<bool, HandleError> {
        let mut pauses = pauses();
        while !stop.is_cancelled() {
            let error = match self.handler.handle(message).await {
                Ok(()) => return Ok(true),
                Err(error) if error.is_retryable() => error,
                Err(poison) => return Err(poison),
            };
            tracing::warn!(
                component = self.name,
                message = %message.id(),
                error = &error as &dyn Error,
                "could not handle a message; will try again"
            );
            rest(&mut pauses, stop).await;
        }
        Ok(false)
    }

    async fn poisoned(&self, job: &Job, error: HandleError) -> Settled {
        let record = &job.record;
        let doing =
            || format!("handling offset {} of {} ({})", record.offset, job.partition, self.name);
        if self.policy == PoisonPolicy::Pause {
            return Settled::Stuck(ComponentError::fatal(doing(), error));
        }
        let mut pauses = pauses();
        while !job.stop.is_cancelled() {
            let undelivered = match self.dead_letters.set_aside(record, &error).await {
                Ok(()) => {
                    tracing::warn!(
                        component = self.name,
                        partition = %job.partition,
                        offset = record.offset,
                        error = &error as &dyn Error,
                        "set a message aside in the dead-letter topic"
                    );
                    return Settled::Handled;
                }
                Err(undelivered) => undelivered,
            };
            if undelivered.is_refused {
                let doing = format!("setting aside a message that can't be handled, {}", doing());
                return Settled::Stuck(ComponentError::fatal(doing, undelivered.failure));
            }
            rest(&mut pauses, &job.stop).await;
        }
        Settled::Left
    }
}

async fn rest(pauses: &mut (impl Iterator<Item = Duration> + Send), stop: &CancellationToken) {
    let pause = pauses.next().unwrap_or(HAND_OVER);
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// The pauses between tries, without end: 50 ms, growing to 5 s.
fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter()
        .build()
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
