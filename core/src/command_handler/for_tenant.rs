//! A command handler within one tenant, on the desks of all.
//!
//! The desks are opened under the streams' whole names, so equal aggregates of two tenants have two
//! of them, and the bound on warm aggregates is one over all tenants. A desk keeps the store that it
//! was opened with; that one is made here and handed to nobody, so nobody can close it.

use std::sync::Arc;

use super::CommandHandler;
use crate::{Metadata, StreamId, TenantId, TenantStore};

/// Whose commands are executed, and who speaks.
#[derive(Clone)]
pub(super) struct Within {
    tenant: TenantId,
    /// The caller reads the whole log: the causes that it names are ids as the whole log has them.
    knows_whole_log: bool,
}

impl CommandHandler {
    /// Executes commands within `tenant`: for a component that reads the whole log and answers each
    /// event where it belongs ([`StreamId::tenant`](crate::StreamId::tenant)). Cheap to make; warm
    /// aggregates are shared and bounded over all tenants.
    ///
    /// Metadata made by [`Metadata::caused_by`] from an event of the whole log fits.
    ///
    /// Of a handler that is within another tenant already, it gives one whose commands are all refused
    /// ([`TenantError`](crate::TenantError)).
    ///
    /// ```
    /// # use std::error::Error;
    /// # use highwater::{Command, CommandHandler, Decide, Metadata, RecordedEvent};
    /// async fn answer<C>(commands: &CommandHandler, event: &RecordedEvent, command: C)
    /// where
    ///     C: Command,
    ///     C::Aggregate: Decide<C>,
    /// {
    ///     if let Some(tenant) = event.stream.tenant() {
    ///         let metadata = Metadata::caused_by(event);
    ///         let answered = commands.for_tenant(&tenant).execute_with(command, metadata).await;
    ///         # let _ = answered;
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId) -> Self {
        self.within(tenant, true)
    }

    /// The same for a caller that sees no more than the tenant's part of the log.
    pub(crate) fn within_tenant(&self, tenant: &TenantId) -> Self {
        self.within(tenant, false)
    }

    fn within(&self, tenant: &TenantId, knows_whole_log: bool) -> Self {
        let desks = match &self.within {
            Some(within) if within.tenant == *tenant => return self.clone(),
            // Its store refuses everything: it must not be kept at a desk that others find.
            Some(_) => Arc::new(self.desks.anew()),
            None => self.desks.clone(),
        };
        Self {
            store: Arc::new(TenantStore::new(self.store.clone(), tenant)),
            desks,
            within: Some(Within { tenant: tenant.clone(), knows_whole_log }),
            ..self.clone()
        }
    }

    /// The stream's whole name, by which its desk is found.
    pub(super) fn whole_name(&self, stream: &StreamId) -> StreamId {
        match &self.within {
            Some(within) => stream.in_tenant(&within.tenant),
            None => stream.clone(),
        }
    }

    /// The metadata as the tenant would give it.
    pub(super) fn in_own_terms(&self, mut metadata: Metadata) -> Metadata {
        if let Some(within) = self.within.as_ref().filter(|within| within.knows_whole_log) {
            metadata.causation = metadata.causation.map(|id| within.tenant.translated(id));
        }
        metadata
    }
}
