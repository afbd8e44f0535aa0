//! How far each component has come, so that others can wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::GlobalPosition;

/// Why waiting for a component ended before it had caught up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaughtUpError {
    /// Nothing of this name reports its progress here.
    #[error("no component named {0:?} is hosted here")]
    Unknown(String),
    /// The component is behind, or stands still.
    #[error(
        "component {component:?} stands at {at} and has not reached {wanted} in {waited_ms} ms"
    )]
    TimedOut {
        /// Which one.
        component: String,
        /// Where it stands.
        at: GlobalPosition,
        /// Where it should be.
        wanted: GlobalPosition,
        /// How long was waited.
        waited_ms: u128,
    },
}

/// How far each component has come. Cheap to clone; clones show the same.
#[derive(Clone, Default)]
pub struct Progress {
    positions: Arc<Mutex<HashMap<String, watch::Sender<GlobalPosition>>>>,
}

impl Progress {
    /// Nothing has been reported yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a component known before it has come anywhere.
    pub fn expect(&self, component: &str) {
        self.positions().entry(component.to_owned()).or_default();
    }

    /// Says that everything up to `position` has had its effect.
    pub fn report(&self, component: &str, position: GlobalPosition) {
        self.positions().entry(component.to_owned()).or_default().send_replace(position);
    }

    /// Where a component stands, if it is known.
    #[must_use]
    pub fn position(&self, component: &str) -> Option<GlobalPosition> {
        self.positions().get(component).map(|sender| *sender.borrow())
    }

    /// Every known component and where it stands, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, GlobalPosition)> {
        let mut all: Vec<_> = self
            .positions()
            .iter()
            .map(|(name, sender)| (name.clone(), *sender.borrow()))
            .collect();
        all.sort_unstable();
        all
    }

    /// Waits until `component` has reached `position`.
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
        let mut watched = self
            .positions()
            .get(component)
            .map(watch::Sender::subscribe)
            .ok_or_else(|| CaughtUpError::Unknown(component.to_owned()))?;
        let reached = watched.wait_for(|at| *at >= position);
        if tokio::time::timeout(patience, reached).await.is_ok() {
            return Ok(());
        }
        Err(CaughtUpError::TimedOut {
            component: component.to_owned(),
            at: self.position(component).unwrap_or_default(),
            wanted: position,
            waited_ms: patience.as_millis(),
        })
    }

    fn positions(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<GlobalPosition>>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
