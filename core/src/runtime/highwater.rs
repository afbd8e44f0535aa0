//! The door that an application goes through.
//!
//! # Who stops whom
//! 1. `shutdown` cancels the components' token; each ends what it has begun and returns.
//! 2. Only when all have returned is the store closed, so no component loses its last append.
//! 3. Dropping `Highwater` cancels the token too; tasks then end by themselves, unawaited.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::supervisor::supervise;
use super::{
    CaughtUpError, Component, ComponentContext, ComponentHealth, Health, Progress, StartError,
};
use crate::command_handler::RejectionOf;
use crate::{
    Boundaries, Command, CommandError, CommandHandler, CommandReceipt, Decide, EventStore,
    GlobalPosition,
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
    ///
    /// # Errors
    /// [`StartError`] if two components have one name, or there is no tokio runtime; then nothing
    /// was started.
    pub fn start(self) -> Result<Highwater, StartError> {
        self.check_names()?;
        let runtime = Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let shutdown = CancellationToken::new();
        let context = ComponentContext::new(self.store, shutdown.clone());
        let (health, tasks) = (Health::default(), TaskTracker::new());
        for component in self.components {
            // Known before its task has run for the first time, so that nobody who asks misses it.
            context.progress.expect(component.name());
            health.set(component.name(), ComponentHealth::Running);
            tasks.spawn_on(supervise(component, context.clone(), health.clone()), &runtime);
        }
        tasks.close();
        Ok(Highwater { context, health, tasks, _cancels_on_drop: shutdown.drop_guard() })
    }

    fn check_names(&self) -> Result<(), StartError> {
        let mut names = HashSet::new();
        match self.components.iter().find(|component| !names.insert(component.name())) {
            Some(second) => Err(StartError::NameTwice(second.name().to_owned())),
            None => Ok(()),
        }
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

    /// Decides within boundaries that are no aggregate.
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        Boundaries::new(self.context.store.clone())
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
