//! A read model in memory: the model that the databases are compared with, and, with a [`Flaw`], the
//! proof that the suite can fail.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use highwater::projections::{ProjectError, ReadModel, ReadModelError, Standing};
use highwater::{Claim, Page, RecordedEvent, Selection};

use super::given::TallyEvent;
use super::{ReadModelFactory, Shown};

/// What is wrong with a read model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// It takes pages of any epoch.
    UncheckedEpoch,
    /// It takes pages wherever the checkpoint stands.
    UncheckedPosition,
    /// The effects are durable before the checkpoint is.
    EffectsFirst,
    /// The checkpoint is durable before the effects are.
    CheckpointFirst,
    /// An event that fails is left out.
    SkippingFailures,
}

/// A read model in memory.
#[derive(Clone)]
pub struct MemoryReadModel {
    flaw: Flaw,
    state: Arc<Mutex<(Standing, Shown)>>,
}

impl MemoryReadModel {
    /// An empty one with this flaw.
    pub fn with(flaw: Flaw) -> Self {
        Self { flaw, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, (Standing, Shown)> {
        self.state.lock().unwrap()
    }

    fn check(
        &self,
        standing: Standing,
        claim: &Claim,
        page: &Page,
    ) -> Result<bool, ReadModelError> {
        let name = claim.consumer.clone();
        if self.flaw != Flaw::UncheckedEpoch && standing.epoch != claim.epoch {
            return Err(ReadModelError::Fenced { name, epoch: claim.epoch });
        }
        if self.flaw == Flaw::UncheckedPosition || standing.position == claim.position {
            return Ok(true);
        }
        if standing.position == page.read_to {
            return Ok(false);
        }
        let (expected, found) = (claim.position, standing.position);
        Err(ReadModelError::Moved { name, expected, found })
    }

    fn project_all(&self, shown: &Shown, page: &Page) -> Result<Shown, ReadModelError> {
        let mut shown = shown.clone();
        for recorded in &page.events {
            match project(recorded, &mut shown) {
                Err(error) if self.flaw != Flaw::SkippingFailures => {
                    return Err(ReadModelError::at(recorded, error));
                }
                _ => {}
            }
        }
        Ok(shown)
    }
}

fn project(recorded: &RecordedEvent, shown: &mut Shown) -> Result<(), ProjectError> {
    for event in recorded.decode()? {
        let TallyEvent::Counted { key, by } = event else {
            return Err(ProjectError::failed("this event is broken on purpose"));
        };
        shown.journal.push(recorded.position.get());
        *shown.counts.entry(key).or_default() += by;
    }
    Ok(())
}

#[async_trait]
impl ReadModelFactory for MemoryReadModel {
    async fn open(&self) -> Arc<dyn ReadModel> {
        Arc::new(self.clone())
    }

    async fn shown(&self) -> Shown {
        self.state().1.clone()
    }
}

#[async_trait]
impl ReadModel for MemoryReadModel {
    fn name(&self) -> &str {
        "tally"
    }

    fn selection(&self) -> Selection {
        Selection::types(["tally.counted", "tally.broken"])
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.0.epoch += 1;
        let Standing { epoch, position, .. } = state.0;
        Ok(Claim { consumer: "tally".to_owned(), epoch, position, state: None })
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        tokio::task::yield_now().await;
        {
            let mut state = self.state();
            if !self.check(state.0, claim, page)? {
                return Ok(());
            }
            let shown = self.project_all(&state.1, page)?;
            if self.flaw != Flaw::CheckpointFirst {
                state.1 = shown;
            }
            if self.flaw != Flaw::EffectsFirst {
                state.0.position = page.read_to;
            }
        }
        tokio::task::yield_now().await;
        let mut state = self.state();
        match self.flaw {
            Flaw::EffectsFirst => state.0.position = page.read_to,
            Flaw::CheckpointFirst => state.1 = self.project_all(&state.1, page)?,
            _ => {}
        }
        Ok(())
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        Ok(self.state().0)
    }
}
