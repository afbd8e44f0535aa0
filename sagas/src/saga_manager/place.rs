//! Where a manager stands: what it stores, and when it says that it lives.
//!
//! Why that is enough is argued in the rules of the [module above](super).

use highwater_core::{ComponentError, GlobalPosition, Payload, StreamId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Run, Stopped};
use crate::saga::SagaState;

/// What is stored beside the checkpoint while there are any; `null` otherwise.
#[derive(Serialize, Deserialize)]
struct OpenSagas {
    streams: Vec<StreamId>,
}

impl<S: SagaState> Run<S> {
    pub(super) fn wake_open_sagas(&mut self) -> Result<(), ComponentError> {
        let Some(state) = &self.claim.state else {
            return Ok(());
        };
        let stored: Option<OpenSagas> = state
            .to_value()
            .map_err(|error| ComponentError::fatal("reading the list of open sagas", error))?;
        self.has_told_of_work = stored.is_some();
        for stream in stored.into_iter().flat_map(|stored| stored.streams) {
            self.slot(&stream);
            self.make_ready(&stream);
        }
        Ok(())
    }

    pub(super) fn finished(&self) -> GlobalPosition {
        self.shared.unfinished.finished_up_to(self.read_to)
    }

    pub(super) fn report(&self) {
        self.context.progress.report(&self.component, self.finished());
    }

    pub(super) async fn save_if_due(&mut self) -> Result<(), Stopped> {
        let is_suspicious = self.shared.unfinished.take_suspicion();
        let is_due = self.saved_at.elapsed() >= self.save_every;
        let has_work = !self.slots.is_empty();
        let is_news = self.finished() > self.saved || has_work != self.has_told_of_work;
        if is_suspicious || (is_due && is_news) {
            return self.save().await;
        }
        if is_due && (has_work || self.finished() < self.read_to) {
            self.beat().await?;
        }
        Ok(())
    }

    /// Says that this manager lives while its checkpoint can't move.
    async fn beat(&mut self) -> Result<(), Stopped> {
        self.context.store.advance(&self.claim, self.saved, None).await?;
        self.saved_at = Instant::now();
        Ok(())
    }

    /// Stores how far it is and which sagas are open; finds out whether the claim still holds.
    pub(super) async fn save(&mut self) -> Result<(), Stopped> {
        let position = self.finished();
        let has_work = !self.slots.is_empty();
        let open = has_work.then(|| OpenSagas { streams: self.slots.keys().cloned().collect() });
        let state = Payload::from_value(&open)
            .map_err(|error| ComponentError::fatal("writing the list of open sagas", error))?;
        self.context.store.advance(&self.claim, position, Some(&state)).await?;
        (self.saved, self.saved_at) = (position, Instant::now());
        self.has_told_of_work = has_work;
        Ok(())
    }
}
