//! The conformance suite of inboxes: a message has its effect exactly once.
//!
//! [`enrol_inbox!`](crate::enrol_inbox) is the table of contents. A database enrols with an
//! expression that makes a fresh inbox around the handler [`Noting`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use highwater::bus::{HandleError, Message, MessageHandler, Topic};
use highwater::projections::InboxHandler;
use highwater::{EventId, EventStore, GlobalPosition, MemoryStore, NewEvent, Selection};
use sqlx::{PgConnection, SqliteConnection};

use super::read_model::given::{append, dropped_after};

/// An inbox around [`Noting`], and how to get at what it keeps.
#[async_trait]
pub trait InboxFactory: Send + Sync {
    /// A further inbox on the same database, as another process would have.
    ///
    /// # Panics
    /// If the database can't be reached: that is the test's failure.
    async fn open(&self, handler: Noting) -> Arc<dyn PurgedInbox>;

    /// How often each message had its effect. Called after the first message.
    ///
    /// # Panics
    /// As `open`.
    async fn noted(&self) -> BTreeMap<String, i64>;
}

/// An inbox that can forget.
#[async_trait]
pub trait PurgedInbox: MessageHandler {
    /// Forgets what is older than `age`; says how many messages that were.
    async fn purge(&self, age: Duration) -> u64;
}

/// Notes every message in the table `noted (message_id text)`, which the factory creates.
#[derive(Clone, Default)]
pub struct Noting {
    consumer: Option<&'static str>,
    failures: Arc<AtomicUsize>,
}

impl Noting {
    /// Fails the first so many messages, after its effect.
    #[must_use]
    pub fn failing(failures: usize) -> Self {
        Self { failures: Arc::new(AtomicUsize::new(failures)), ..Self::default() }
    }

    /// As another consumer.
    #[must_use]
    pub fn named(consumer: &'static str) -> Self {
        Self { consumer: Some(consumer), ..Self::default() }
    }

    fn name(&self) -> &str {
        self.consumer.unwrap_or("noting")
    }

    fn outcome(&self) -> Result<(), HandleError> {
        let fails = |left: usize| left.checked_sub(1);
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails) {
            Ok(_) => Err(HandleError::unavailable("it fails on purpose")),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl InboxHandler<PgConnection> for Noting {
    fn consumer(&self) -> &str {
        self.name()
    }

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::new("tally")]
    }

    async fn handle(
        &self,
        message: &Message,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        sqlx::query("INSERT INTO noted VALUES ($1)")
            .bind(message.id().to_string())
            .execute(connection)
            .await
            .map_err(HandleError::unavailable)?;
        self.outcome()
    }
}

#[async_trait]
impl InboxHandler<SqliteConnection> for Noting {
    fn consumer(&self) -> &str {
        self.name()
    }

    fn topics(&self) -> Vec<Topic> {
        vec![Topic::new("tally")]
    }

    async fn handle(
        &self,
        message: &Message,
        connection: &mut SqliteConnection,
    ) -> Result<(), HandleError> {
        sqlx::query("INSERT INTO noted VALUES (?1)")
            .bind(message.id().to_string())
            .execute(connection)
            .await
            .map_err(HandleError::unavailable)?;
        self.outcome()
    }
}

/// So many messages with ids of their own.
pub async fn messages(count: usize) -> Vec<Message> {
    let log = MemoryStore::new();
    for n in 0..count {
        append(&log, NewEvent::new("tally.counted", &n).unwrap()).await;
    }
    let page = log.read_all(&Selection::All, GlobalPosition::START, count).await.unwrap();
    page.events.into_iter().map(|event| Message::new(Topic::new("tally"), event)).collect()
}

fn once<'a>(messages: impl IntoIterator<Item = &'a Message>) -> BTreeMap<String, i64> {
    messages.into_iter().map(|message| (message.id().to_string(), 1)).collect()
}

/// The same message again is acknowledged and has no further effect, in this process or another.
pub async fn a_message_that_comes_again_has_one_effect(factory: &dyn InboxFactory) {
    let messages = messages(3).await;
    for _ in 0..3 {
        let inbox = factory.open(Noting::default()).await;
        for message in &messages {
            inbox.handle(message).await.unwrap();
            inbox.handle(message).await.unwrap();
        }
    }
    assert_eq!(factory.noted().await, once(&messages));
}

/// The same message at the same moment in several processes has one effect.
pub async fn a_message_that_comes_to_several_at_once_has_one_effect(factory: &dyn InboxFactory) {
    let messages = Arc::new(messages(10).await);
    let mut handling = Vec::new();
    for _ in 0..4 {
        let (inbox, messages) = (factory.open(Noting::default()).await, messages.clone());
        handling.push(tokio::spawn(async move {
            for message in messages.iter() {
                inbox.handle(message).await.unwrap();
            }
        }));
    }
    for handled in join_all(handling).await {
        handled.unwrap();
    }
    assert_eq!(factory.noted().await, once(messages.iter()));
}

/// A handler that fails leaves neither effect nor row, so the message may come again.
pub async fn a_handler_that_fails_leaves_neither_effect_nor_row(factory: &dyn InboxFactory) {
    let (messages, inbox) = (messages(1).await, factory.open(Noting::failing(2)).await);
    for _ in 0..2 {
        let failed = inbox.handle(&messages[0]).await.unwrap_err();
        assert!(failed.is_retryable(), "{failed:?}");
        assert!(factory.noted().await.is_empty());
    }
    inbox.handle(&messages[0]).await.unwrap();
    assert_eq!(factory.noted().await, once(&messages));
}

/// Wherever handling is dropped, effect and row are both there or both not.
pub async fn a_message_dropped_at_any_await_has_one_effect_in_the_end(factory: &dyn InboxFactory) {
    let (messages, inbox) = (messages(40).await, factory.open(Noting::default()).await);
    for (polls, message) in messages.iter().enumerate() {
        if let Some(handled) = dropped_after(polls + 1, inbox.handle(message)).await {
            handled.unwrap();
        }
        inbox.handle(message).await.unwrap();
    }
    assert_eq!(factory.noted().await, once(&messages));
}

/// Consumers of one message don't hide it from each other.
pub async fn each_consumer_has_its_own_effect(factory: &dyn InboxFactory) {
    let messages = messages(1).await;
    for consumer in ["one", "other", "one"] {
        factory.open(Noting::named(consumer)).await.handle(&messages[0]).await.unwrap();
    }
    assert_eq!(factory.noted().await[&messages[0].id().to_string()], 2);
}

/// A purge forgets what is old enough, of its own consumer only.
pub async fn a_purge_forgets_what_is_old_enough_of_its_consumer(factory: &dyn InboxFactory) {
    let messages = messages(5).await;
    let inbox = factory.open(Noting::default()).await;
    let other = factory.open(Noting::named("other")).await;
    for message in &messages {
        inbox.handle(message).await.unwrap();
        other.handle(message).await.unwrap();
    }
    assert_eq!(inbox.purge(Duration::from_secs(3_600)).await, 0);
    assert_eq!(inbox.purge(Duration::ZERO).await, 5);
    assert_eq!(inbox.purge(Duration::ZERO).await, 0);
    other.handle(&messages[0]).await.unwrap();
    inbox.handle(&messages[0]).await.unwrap();
    assert_eq!(factory.noted().await[&messages[0].id().to_string()], 3);
}

/// Ids of any UUID version are kept apart.
pub async fn ids_of_any_kind_are_kept_apart(factory: &dyn InboxFactory) {
    let (mut messages, inbox) = (messages(3).await, factory.open(Noting::default()).await);
    messages[0].event.id = EventId::from_uuid(uuid::Uuid::nil());
    messages[1].event.id = EventId::from_uuid(uuid::Uuid::max());
    for message in messages.iter().chain(&messages) {
        inbox.handle(message).await.unwrap();
    }
    assert_eq!(factory.noted().await, once(&messages));
}

/// Makes each promise of an inbox a test of its own: `enrol_inbox!(name, fresh_factory)`.
#[macro_export]
macro_rules! enrol_inbox {
    ($inbox:ident, $factory:expr) => {
        mod $inbox {
            #[allow(unused_imports)]
            use super::*;

            $crate::inbox_promises! { $factory;
                a_message_that_comes_again_has_one_effect,
                a_message_that_comes_to_several_at_once_has_one_effect,
                a_handler_that_fails_leaves_neither_effect_nor_row,
                a_message_dropped_at_any_await_has_one_effect_in_the_end,
                each_consumer_has_its_own_effect,
                a_purge_forgets_what_is_old_enough_of_its_consumer,
                ids_of_any_kind_are_kept_apart,
            }
        }
    };
}

/// What the enrolling macro expands to.
#[doc(hidden)]
#[macro_export]
macro_rules! inbox_promises {
    ($factory:expr; $($promise:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let inbox = $factory;
            $crate::conformance::inbox::$promise(&inbox).await;
        })*
    };
}
