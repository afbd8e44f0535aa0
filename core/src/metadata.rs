//! What is known about an event beside its data: who, why, in which flow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CommandId, CorrelationId, EventId};

/// What is known about an event beside its data.
///
/// Empty fields take no space in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Ties together everything that one request set in motion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<EventId>,
    /// The command that emitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// On whose behalf, where one system serves several customers. It says what somebody knew; where
    /// an event belongs is said by its stream ([`StreamId::tenant`](crate::StreamId::tenant)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The trace it belongs to, as a W3C `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Whatever else a user wants to keep.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl Metadata {
    /// True if there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Names the flow.
    #[must_use]
    pub fn with_correlation(mut self, correlation: CorrelationId) -> Self {
        self.correlation = Some(correlation);
        self
    }

    /// Names the event that led here.
    #[must_use]
    pub fn with_causation(mut self, causation: EventId) -> Self {
        self.causation = Some(causation);
        self
    }

    /// Names the command.
    #[must_use]
    pub fn with_command(mut self, command: CommandId) -> Self {
        self.command = Some(command);
        self
    }

    /// Names who asked.
    #[must_use]
    pub fn with_actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Names the tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &crate::TenantId) -> Self {
        self.tenant = Some(tenant.to_string());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// The metadata of what `cause` leads to: same flow, same tenant, and `cause` named as its cause.
    #[must_use]
    pub fn caused_by(cause: &crate::RecordedEvent) -> Self {
        Self {
            correlation: cause
                .metadata
                .correlation
                .or_else(|| Some(CorrelationId::from_uuid(cause.id.as_uuid()))),
            causation: Some(cause.id),
            command: None,
            headers: BTreeMap::new(),
            tenant: cause
                .stream
                .tenant()
                .map(|tenant| tenant.to_string())
                .or_else(|| cause.metadata.tenant.clone()),
            ..cause.metadata.clone()
        }
    }
}
