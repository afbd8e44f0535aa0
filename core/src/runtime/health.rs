//! What the runtime knows about its components.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How one component is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentHealth {
    /// It runs.
    Running,
    /// It stopped with an error or a panic and will be started again.
    Restarting {
        /// The error, with its causes.
        error: String,
        /// How many times in a row it stopped.
        failures: u32,
    },
    /// It can't go on until somebody mends something.
    Failed {
        /// The error, with its causes.
        error: String,
    },
    /// It was asked to stop, and did.
    Stopped,
}

/// How all components are doing. Cheap to clone; clones show the same.
#[derive(Clone, Default)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<String, ComponentHealth>>>,
}

impl Health {
    /// Every component and how it is doing, by name.
    #[must_use]
    pub fn components(&self) -> Vec<(String, ComponentHealth)> {
        let components = self.locked();
        components.iter().map(|(name, health)| (name.clone(), health.clone())).collect()
    }

    /// True if every component runs: what a readiness probe asks.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.locked().values().all(|health| *health == ComponentHealth::Running)
    }

    /// True if no component has failed for good: what a liveness probe asks.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.locked().values().any(|health| matches!(health, ComponentHealth::Failed { .. }))
    }

    pub(super) fn set(&self, component: &str, health: ComponentHealth) {
        self.locked().insert(component.to_owned(), health);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, ComponentHealth>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
