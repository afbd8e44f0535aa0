//! The door that an application goes through.
//!
//! # Who stops whom
//! 1. `shutdown` cancels the components' token; each ends what it has begun and returns.
//! 2. Only when all have returned is the store closed, so no component loses its last append.
//! 3. Dropping `Highwater` cancels the token too; tasks then end by themselves, unawaited.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::supervisor::supervise;
use super::{CaughtUpError, Component, ComponentContext, Health, Progress};
use crate::command_handler::RejectionOf;
use crate::{
    Command, CommandError, CommandHandler, CommandReceipt, Decide, EventStore, GlobalPosition,
};

/// Collects what an application is made of. Start it to get a [`Highwater`].
pub struct HighwaterBuilder {
    store: Arc<dyn EventStore>,
    components: Vec<Arc<dyn Component>>,
}

impl HighwaterBuilder {
    /// Hosts a projection, a saga, a relay or a consumer.
    #[must_use]
    pub fn host(mut self, component: impl Component) -> Self {
        self.components.push(Arc::new(component));
        self
    }

    /// Starts everything. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(self) -> Highwater {
        let shutdown = CancellationToken::new();
        let context = ComponentContext::new(self.store, shutdown.clone());
        let (health, tasks) = (Health::default(), TaskTracker::new());
        for component in self.components {
            context.progress.expect(component.name());
            tasks.spawn(supervise(component, context.clone(), health.clone()));
        }
        tasks.close();
        Highwater { context, health, tasks, _cancels_on_drop: shutdown.drop_guard() }
    }
}

/// A running application: executes commands, and hosts what follows from their events.
pub struct Highwater {
    context: ComponentContext,
    health: Health,
    tasks: TaskTracker,
    _cancels_on_drop: DropGuard,
}

impl Highwater {
    /// An application on top of `store`.
    #[must_use]
    pub fn builder(store: Arc<dyn EventStore>) -> HighwaterBuilder {
        HighwaterBuilder { store, components: Vec::new() }
    }

    /// Executes a command; see [`CommandHandler::execute`].
    ///
    /// # Errors
    /// As [`CommandHandler::execute`].
    ///
    /// # Cancel safety
    /// As [`CommandHandler::execute`].
    pub async fn execute<C>(
        &self,
        command: C,
    ) -> Result<CommandReceipt, CommandError<RejectionOf<C>>>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        self.context.commands.execute(command).await
    }

    /// Executes commands and loads aggregates.
    #[must_use]
    pub fn commands(&self) -> &CommandHandler {
        &self.context.commands
    }

    /// The log.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.context.store
    }

    /// Waits until `component` shows everything up to `position`: read your own write.
    ///
    /// # Errors
    /// [`CaughtUpError`] if there is no such component, or it takes longer than `patience`.
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn caught_up(
        &self,
        component: &str,
        position: GlobalPosition,
        patience: Duration,
    ) -> Result<(), CaughtUpError> {
        self.context.progress.caught_up(component, position, patience).await
    }

    /// How far each component has come.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.context.progress
    }

    /// How each component is doing.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Stops every component, then closes the store. What was acknowledged is durable.
    ///
    /// # Cancel safety
    /// Dropped in flight, everything still stops, but nobody waits for it.
    pub async fn shutdown(&self) {
        self.context.shutdown.cancel();
        self.tasks.wait().await;
        self.context.store.close().await;
    }
}
