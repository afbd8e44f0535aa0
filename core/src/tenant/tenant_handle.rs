//! What an application does for one of its tenants.

use std::sync::Arc;

use crate::command_handler::RejectionOf;
use crate::{
    Boundaries, Command, CommandError, CommandHandler, CommandReceipt, Decide, EventStore,
    ForgetError, Subject, TenantId, TenantStore, Vault,
};

/// An application's door for one tenant. Cheap to make, one per request if need be: the desks of
/// aggregates, and their warm states, are the application's and bounded over all tenants.
///
/// Everything behind it is within the tenant; see [`TenantStore`] for what that means.
#[derive(Clone)]
pub struct TenantHandle {
    tenant: TenantId,
    store: Arc<dyn EventStore>,
    commands: CommandHandler,
    boundaries: Boundaries,
    vault: Option<Vault>,
    /// Whose part of a log the application is itself confined to.
    wall: Option<TenantId>,
}

impl TenantHandle {
    pub(crate) fn new(
        log: Arc<dyn EventStore>,
        commands: &CommandHandler,
        boundaries: &Boundaries,
        vault: Option<&Vault>,
        tenant: &TenantId,
    ) -> Self {
        let wall = log.tenant().cloned();
        let store: Arc<dyn EventStore> = Arc::new(TenantStore::new(log, tenant));
        Self {
            tenant: tenant.clone(),
            commands: commands.within_tenant(tenant),
            boundaries: boundaries.within(store.clone()),
            vault: vault.cloned(),
            wall,
            store,
        }
    }

    /// Whose handle it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Executes a command for the tenant; see [`CommandHandler::execute`].
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
        self.commands.execute(command).await
    }

    /// Executes commands and loads aggregates of the tenant.
    #[must_use]
    pub fn commands(&self) -> &CommandHandler {
        &self.commands
    }

    /// Decides within the tenant's boundaries that are no aggregate.
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        self.boundaries.clone()
    }

    /// Forgets one of the tenant's subjects; see [`Highwater::forget`](crate::Highwater::forget). One
    /// of the same id that belongs to another tenant stays readable.
    ///
    /// # Errors
    /// [`ForgetError`].
    ///
    /// # Cancel safety
    /// The subject is forgotten or not: forget it again.
    pub async fn forget(&self, subject: &Subject) -> Result<(), ForgetError> {
        let vault = self.vault.as_ref().ok_or(ForgetError::NoVault)?;
        if let Some(wall) = self.wall.as_ref().filter(|wall| **wall != self.tenant) {
            return Err(ForgetError::OtherTenant { tenant: wall.clone() });
        }
        vault.forget_within(Some(&self.tenant), subject).await?;
        self.commands.drop_warm_aggregates();
        Ok(())
    }

    /// The tenant's part of the log. Closing it closes it for this handle and its clones.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }
}
