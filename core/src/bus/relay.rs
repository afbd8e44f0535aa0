//! Carries events from the log to a broker.
//!
//! It owns when something is published and when the checkpoint moves. How a broker is spoken to is
//! the [`Publisher`]'s; how the place in the log is held, and why two relays at once keep each
//! key's order, stands in `place.rs`.
//!
//! # Invariants
//! 1. The log is the outbox: what stands below the high-water mark is published, and nothing else.
//!    There is no second table that could disagree with it.
//! 2. A page is published in the order of the log, and the checkpoint moves over it only when the
//!    broker has confirmed every message of it. Events that stay inside are moved over as well.
//! 3. After an error the same messages are published again from the page's first one: never a
//!    later one before an earlier one of its key.
//! 4. A message that the broker refuses stops the relay for good. Leaving it out would be a hole
//!    in its key's order that nobody sees; so it is reported, and a person decides.
//! 5. Personal data leaves sealed or not at all: the relay reads the log as it lies in the store, and
//!    refuses a message in which it is open.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::place::{Place, Taken, Work, pauses, rest, unless_overdue};
use super::{Message, PublishError, Publisher, Route};
use crate::personal::marker::PERSONAL;
use crate::{Component, ComponentContext, ComponentError, Page, Standby};

/// Publishes the log's events: at least once each, a key's events in the order of the log.
///
/// Host it in as many processes as you like under one name: the one that started last works, the
/// others stand by and take over when it dies. A broker that is down means lag, never loss.
///
/// A message that the broker refuses (too large, topic not allowed) fails the relay until somebody
/// mends the cause and starts it again; nothing is left out.
pub struct Relay {
    place: Place,
    publisher: Arc<dyn Publisher>,
    route: Arc<dyn Route>,
}

impl Relay {
    /// A relay that publishes through `publisher` whatever `route` gives a topic.
    ///
    /// `name` is the relay's identity: its checkpoint and its component are called `relay:<name>`.
    /// A relay of another name publishes everything from the start.
    #[must_use]
    pub fn new(name: &str, publisher: Arc<dyn Publisher>, route: impl Route) -> Self {
        Self { place: Place::new(format!("relay:{name}")), publisher, route: Arc::new(route) }
    }

    /// Publishes at most this many events before it moves the checkpoint (500 unless told): what a
    /// crash makes it repeat at most.
    #[must_use]
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.place.page_size = events;
        self
    }

    /// Takes over from another process that holds the work and stands still behind the log for this
    /// long (5 s unless told): how long a crash of the other one goes unnoticed. It should be the
    /// same in every process; too short costs repetitions, never order or a message.
    #[must_use]
    pub fn with_takeover_after(mut self, still: Duration) -> Self {
        self.place.standby = Standby::new().with_takeover_after(still);
        self
    }

    fn messages(&self, page: &Page) -> Vec<Message> {
        page.events
            .iter()
            .filter_map(|event| {
                let topic = self.route.topic_for(event)?;
                Some(Message::new(topic, event.clone()))
            })
            .collect()
    }

    fn failed(&self, page: &Page, error: PublishError) -> Taken {
        let doing = format!("publishing events up to position {} ({})", page.read_to, self.name());
        let error = if error.is_retryable() {
            ComponentError::retry(doing, error)
        } else {
            ComponentError::fatal(doing, error)
        };
        Taken::Failed(None, error)
    }
}

#[async_trait]
impl Work for Relay {
    async fn take(&self, page: &Page, shutdown: &CancellationToken) -> Taken {
        let messages = self.messages(page);
        if messages.is_empty() {
            return Taken::Whole;
        }
        if let Some(message) = messages.iter().find(|it| PERSONAL.is_in(it.event.data.as_json())) {
            return self.failed(page, in_plain_text(message));
        }
        let mut pauses = pauses();
        loop {
            let publishing = self.publisher.publish(&messages);
            let error = match unless_overdue(publishing, shutdown).await {
                None => return Taken::Interrupted(None),
                Some(Ok(())) => return Taken::Whole,
                Some(Err(error)) => error,
            };
            let pause = match pauses.next() {
                Some(pause) if error.is_retryable() => pause,
                _ => return self.failed(page, error),
            };
            tracing::debug!(component = self.name(), %error, "will publish again");
            if !rest(pause, shutdown).await {
                return Taken::Interrupted(None);
            }
        }
    }
}

/// Invariant 5: the log was opened by something that doesn't know of relays.
fn in_plain_text(message: &Message) -> PublishError {
    PublishError::Refused {
        message: message.id(),
        topic: message.topic.to_string(),
        source: "it holds personal data in plain text".into(),
    }
}

#[async_trait]
impl Component for Relay {
    fn name(&self) -> &str {
        &self.place.name
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        let mut context = context;
        if let Some(sealed) = context.store.sealed() {
            context.store = sealed;
        }
        self.place.hold(&context, self).await
    }
}

#[cfg(test)]
mod tests;
