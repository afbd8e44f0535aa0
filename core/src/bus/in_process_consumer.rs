//! The bus without a broker: a handler reads the log itself.
//!
//! It owns when a handler is called and when its place moves. How that place is held, and what two
//! processes with the same consumer mean, stands in `place.rs`.
//!
//! # Invariants
//! 1. Events are handled one after another in the order of the log, so in each key's order.
//! 2. The checkpoint moves over an event only when the handler has said that its effect is durable,
//!    or when the handler has no part in it.
//! 3. An event that can't be handled is never left out: either it is tried again while everything
//!    behind it waits, or the consumer stops in front of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::place::{Place, Taken, Work, pauses, rest, unless_overdue};
use super::{HandleError, Message, MessageHandler, Route, Topic};
use crate::{
    Component, ComponentContext, ComponentError, GlobalPosition, Page, RecordedEvent, Standby,
};

/// Hands the log's events to a handler, with the same promises as a broker: at least once, a key's
/// events in order, nothing left out.
///
/// In one process the log itself is the broker, and each consumer has a place of its own in it.
/// Swap it for a relay and a broker's consumer, and the handler doesn't notice.
///
/// Several processes may host the same one: the one that started last works, the others stand by
/// and take over when it dies.
///
/// When something that the handler needs isn't there, the message is tried again and the later ones
/// wait. When the message itself is the trouble ([`HandleError::Poison`]), the consumer pauses: it
/// fails for good, which health shows, with the message still in front of it.
pub struct InProcessConsumer {
    place: Place,
    handler: Arc<dyn MessageHandler>,
    route: Arc<dyn Route>,
    topics: Vec<Topic>,
}

impl InProcessConsumer {
    /// A consumer that gives `handler` the events for which `route` names one of its topics.
    ///
    /// Its checkpoint and its component are called `consumer:<name>`, by the handler's name.
    #[must_use]
    pub fn new(handler: impl MessageHandler, route: impl Route) -> Self {
        Self {
            place: Place::new(format!("consumer:{}", handler.consumer())),
            topics: handler.topics(),
            handler: Arc::new(handler),
            route: Arc::new(route),
        }
    }

    /// Handles at most this many events before it moves the checkpoint (500 unless told): what a
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

    fn message(&self, event: &RecordedEvent) -> Option<Message> {
        let topic = self.route.topic_for(event)?;
        self.topics.contains(&topic).then(|| Message::new(topic, event.clone()))
    }

    /// Handles one message, with retries; `Ok(false)` if shutdown came before it was handled.
    async fn handle(
        &self,
        message: &Message,
        shutdown: &CancellationToken,
    ) -> Result<bool, HandleError> {
        let mut pauses = pauses();
        loop {
            let error = match unless_overdue(self.handler.handle(message), shutdown).await {
                None => return Ok(false),
                Some(Ok(())) => return Ok(true),
                Some(Err(error)) => error,
            };
            let pause = match pauses.next() {
                Some(pause) if error.is_retryable() => pause,
                _ => return Err(error),
            };
            tracing::debug!(component = self.name(), message = %message.id(), %error, "will try again");
            if !rest(pause, shutdown).await {
                return Ok(false);
            }
        }
    }

    fn failed(&self, message: &Message, error: HandleError) -> ComponentError {
        let doing = format!(
            "handling message {} of {} at position {} ({})",
            message.id(),
            message.key(),
            message.event.position,
            self.name()
        );
        if error.is_retryable() {
            ComponentError::retry(doing, error)
        } else {
            ComponentError::fatal(doing, error)
        }
    }
}

#[async_trait]
impl Work for InProcessConsumer {
    async fn take(&self, page: &Page, shutdown: &CancellationToken) -> Taken {
        let mut reached: Option<GlobalPosition> = None;
        for event in &page.events {
            if let Some(message) = self.message(event) {
                if shutdown.is_cancelled() {
                    return Taken::Interrupted(reached);
                }
                match self.handle(&message, shutdown).await {
                    Ok(true) => {}
                    Ok(false) => return Taken::Interrupted(reached),
                    Err(error) => return Taken::Failed(reached, self.failed(&message, error)),
                }
            }
            reached = Some(event.position);
        }
        Taken::Whole
    }
}

#[async_trait]
impl Component for InProcessConsumer {
    fn name(&self) -> &str {
        &self.place.name
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        self.place.hold(&context, self).await
    }
}

#[cfg(test)]
mod tests;
