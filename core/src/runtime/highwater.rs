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
use crate::command_handler::{NewCommandId, RejectionOf};
use crate::{
    At, Boundaries, Clock, Command, CommandError, CommandHandler, CommandId, CommandReceipt,
    Decide, EventStore, Evolve, ForgetError, GlobalPosition, Loaded, SealedLog, Subject,
    TenantHandle, TenantId, Vault,
};

/// Collects what an application is made of. Start it to get a [`Highwater`].
pub struct HighwaterBuilder {
    store: Arc<dyn EventStore>,
    components: Vec<Arc<dyn Component>>,
    vault: Option<Vault>,
    clock: Option<Arc<dyn Clock>>,
    new_id: Option<NewCommandId>,
}

impl HighwaterBuilder {
    /// Hosts a projection, a saga, a relay or a consumer.
    #[must_use]
    pub fn host(mut self, component: impl Component) -> Self {
        self.components.push(Arc::new(component));
        self
    }

    /// Seals personal data with `vault` on its way into the store, and opens it for commands,
    /// boundaries, projections and sagas. Relays get it sealed. Without a vault, the store refuses
    /// events with personal data.
    #[must_use]
    pub fn personal_data(mut self, vault: Vault) -> Self {
        self.vault = Some(vault);
        self
    }

    /// Takes the time from `clock` (the machine's unless told): for decisions, and for components that
    /// were given no clock of their own. For tests; what a store writes into an event is the store's
    /// time ([`MemoryStore::with_clock`](crate::MemoryStore::with_clock)).
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Gives commands and decisions that have no id of their own the ids that `new_id` makes; see
    /// [`CommandHandler::with_command_ids`].
    #[must_use]
    pub fn with_command_ids(
        mut self,
        new_id: impl Fn() -> CommandId + Send + Sync + 'static,
    ) -> Self {
        self.new_id = Some(Arc::new(new_id));
        self
    }

    /// Compares what this program writes and reads with what the store knows of the log's events,
    /// and adds to that. Programs that start at once take turns. Call it before
    /// [`start`](Self::start): a program that would break what `compatibility` demands doesn't start.
    ///
    /// # Errors
    /// [`StartError::IncompatibleEvents`] says which event type, in which direction and why;
    /// [`StartError::SchemasNotKept`] if the store can't be asked, or keeps none.
    ///
    /// # Cancel safety
    /// Dropped in flight, the schemas were added all or none. Nothing was started.
    #[cfg(feature = "schema")]
    pub async fn event_schemas(
        self,
        schemas: crate::schema::EventSchemas,
        compatibility: crate::schema::Compatibility,
    ) -> Result<Self, StartError> {
        let store = self.store.schemas().ok_or(StartError::NoSchemaStore)?;
        store.keep(&schemas, compatibility).await.map_err(StartError::of_schemas)?;
        Ok(self)
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
        let mut context = context(self.store, self.vault.as_ref(), shutdown.clone());
        let mut boundaries = Boundaries::new(context.store.clone());
        if let Some(clock) = self.clock {
            context.commands = context.commands.with_clock(clock.clone());
            context.clock = clock;
        }
        if let Some(new_id) = self.new_id {
            let in_boundaries = new_id.clone();
            boundaries = boundaries.with_command_ids(move || in_boundaries());
            context.commands = context.commands.with_command_ids(move || new_id());
        }
        let (health, tasks) = (Health::default(), TaskTracker::new());
        for component in self.components {
            // Known before its task has run for the first time, so that nobody who asks misses it.
            context.progress.expect(component.name());
            health.set(component.name(), ComponentHealth::Running);
            tasks.spawn_on(supervise(component, context.clone(), health.clone()), &runtime);
        }
        tasks.close();
        Ok(Highwater {
            boundaries,
            context,
            vault: self.vault,
            health,
            tasks,
            _cancels_on_drop: shutdown.drop_guard(),
        })
    }

    fn check_names(&self) -> Result<(), StartError> {
        let mut names = HashSet::new();
        match self.components.iter().find(|component| !names.insert(component.name())) {
            Some(second) => Err(StartError::NameTwice(second.name().to_owned())),
            None => Ok(()),
        }
    }
}

/// What components get: with a vault, a log on which personal data is open, and warm aggregates that
/// are no older than the vault's keys may be.
fn context(
    store: Arc<dyn EventStore>,
    vault: Option<&Vault>,
    shutdown: CancellationToken,
) -> ComponentContext {
    let Some(vault) = vault else {
        return ComponentContext::new(store, shutdown);
    };
    let store = Arc::new(SealedLog::new(store, vault.clone()));
    let mut context = ComponentContext::new(store, shutdown);
    context.commands = context.commands.with_warm_aggregates_for(vault.key_age());
    context
}

/// A running application: executes commands, and hosts what follows from their events.
pub struct Highwater {
    context: ComponentContext,
    boundaries: Boundaries,
    vault: Option<Vault>,
    health: Health,
    tasks: TaskTracker,
    _cancels_on_drop: DropGuard,
}

impl Highwater {
    /// An application on top of `store`.
    #[must_use]
    pub fn builder(store: Arc<dyn EventStore>) -> HighwaterBuilder {
        HighwaterBuilder { store, components: Vec::new(), vault: None, clock: None, new_id: None }
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

    /// An aggregate as it was; see [`CommandHandler::state_at`].
    ///
    /// # Errors
    /// As [`CommandHandler::state_at`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn state_at<A: Evolve>(
        &self,
        id: &A::Id,
        at: At,
    ) -> Result<Loaded<A>, CommandError<A::Rejection>> {
        self.context.commands.state_at(id, at).await
    }

    /// Decides within boundaries that are no aggregate.
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        self.boundaries.clone()
    }

    /// What the application does for one of its tenants. Cheap: make one per request.
    ///
    /// Components are hosted once for all tenants; they see the whole log, and whose an event is
    /// ([`StreamId::tenant`](crate::StreamId::tenant)).
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId) -> TenantHandle {
        let (store, commands) = (self.context.store.clone(), &self.context.commands);
        TenantHandle::new(store, commands, &self.boundaries, self.vault.as_ref(), tenant)
    }

    /// The log.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.context.store
    }

    /// Forgets `subject`: what is sealed with its keys can never be read again, wherever a copy is. In
    /// this process at once, in others when the keys in their memory are too old and then the states
    /// that were read with them (60 s each unless the vault says otherwise, so two minutes).
    ///
    /// What a read model has copied in plain text is its own to delete.
    ///
    /// A tenant's subject is forgotten by [`TenantHandle::forget`], or here by its
    /// [full name](Subject::in_tenant), as a [`Personal`](crate::Personal) that was read has it.
    ///
    /// # Errors
    /// [`ForgetError`].
    ///
    /// # Cancel safety
    /// The subject is forgotten or not: forget it again.
    pub async fn forget(&self, subject: &Subject) -> Result<(), ForgetError> {
        let vault = self.vault.as_ref().ok_or(ForgetError::NoVault)?;
        vault.forget_within(self.context.store.tenant(), subject).await?;
        self.context.commands.drop_warm_aggregates();
        Ok(())
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
