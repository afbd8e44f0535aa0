//! Something that runs beside the command handlers: a projection, a saga, a relay, a consumer.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::Progress;
use crate::{Clock, CommandHandler, EventStore, SystemClock};

/// Why a component stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Something that it needs isn't there just now: the supervisor starts it again after a pause.
    #[error("could not go on for now: {doing}")]
    Retry {
        /// What it was doing.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It can't go on until somebody mends something: the supervisor leaves it stopped, reports it
    /// as failed, and everything else goes on.
    #[error("can't go on: {doing}")]
    Fatal {
        /// What it was doing.
        doing: String,
        /// What went wrong.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl ComponentError {
    /// Start again after a pause.
    pub fn retry(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Retry { doing: doing.into(), source: source.into() }
    }

    /// Stay stopped.
    pub fn fatal(
        doing: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Fatal { doing: doing.into(), source: source.into() }
    }

    /// True if starting again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry { .. })
    }
}

/// What the runtime hands to a component.
#[derive(Clone)]
#[non_exhaustive]
pub struct ComponentContext {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// Executes commands against the log.
    pub commands: CommandHandler,
    /// The time by which it waits and decides; a component may have been given one of its own.
    pub clock: Arc<dyn Clock>,
    /// Where the component says how far it has come.
    pub progress: Progress,
    /// Ends when the component is to stop.
    pub shutdown: CancellationToken,
}

impl ComponentContext {
    /// A context outside of a runtime, for a test that hosts one component itself.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, shutdown: CancellationToken) -> Self {
        Self {
            commands: CommandHandler::new(store.clone()),
            clock: Arc::new(SystemClock),
            store,
            progress: Progress::new(),
            shutdown,
        }
    }
}

/// Something that the runtime hosts.
///
/// # Contract
/// - `run` MUST return `Ok` soon after `context.shutdown` is cancelled, with everything that it
///   acknowledged made durable.
/// - `run` MUST be callable again after it returned an error, and then go on from its checkpoint.
/// - It MUST survive being dropped at any await point: what is durable decides what is done. A
///   panic counts as an error after which starting again may help.
/// - Its name MUST be its own among the components of one application, and stay the same.
#[async_trait]
pub trait Component: Send + Sync + 'static {
    /// Names the component in health, logs and [`Highwater::caught_up`](super::Highwater::caught_up).
    fn name(&self) -> &str;

    /// Runs until shutdown.
    ///
    /// # Errors
    /// [`ComponentError`] says whether starting again may help.
    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError>;
}
