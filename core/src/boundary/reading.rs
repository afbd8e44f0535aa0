//! Decision models as far as the log has been read into them, and the way on from there.

use std::sync::Arc;

use super::handed_on::{HandedOn, Single};
use crate::{
    AppendCondition, DecisionModels, EventStore, GlobalPosition, LoadBoundaryError, Query,
    RecordedEvent, Selection,
};

/// How many events are read at a time.
const PAGE: usize = 1_000;

/// Decision models, and how far the log was read into them.
pub(super) struct Reading<M: DecisionModels> {
    store: Arc<dyn EventStore>,
    state: M,
    queries: M::Queries,
    selection: Selection,
    query: Query,
    read_to: GlobalPosition,
}

impl<M: DecisionModels> Reading<M> {
    /// Asks the blank `model` what it wants to know. Nothing is read yet.
    pub(super) fn of(store: Arc<dyn EventStore>, model: M) -> Result<Self, LoadBoundaryError> {
        let queries = model.queries().map_err(LoadBoundaryError::Query)?;
        let query = M::add_to(&queries, Query::default());
        let selection = Selection::Query(query.clone());
        Ok(Self { store, state: model, queries, selection, query, read_to: GlobalPosition::START })
    }

    /// Reads what stands behind [`Reading::read_to`], up to the high-water mark.
    pub(super) async fn read_on(&mut self) -> Result<(), LoadBoundaryError> {
        loop {
            let page = self
                .store
                .read_all(&self.selection, self.read_to, PAGE)
                .await
                .map_err(LoadBoundaryError::Read)?;
            page.events.iter().try_for_each(|event| self.apply(event))?;
            // Not the last event's position: what doesn't match was read as well, and needn't be
            // looked at again by the condition.
            self.read_to = page.read_to;
            if page.is_last {
                return Ok(());
            }
        }
    }

    /// What others in the same line have handed on, if that is all that there is since.
    pub(super) fn news_in(&self, handed_on: &mut HandedOn) -> Option<Vec<Arc<Single>>> {
        handed_on.behind(&self.store, &self.query, self.read_to)
    }

    /// Takes in what follows without a gap.
    pub(super) fn take_in(&mut self, news: &[Arc<Single>]) -> Result<(), LoadBoundaryError> {
        for append in news {
            self.apply(&append.event)?;
            self.read_to = append.event.position;
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), LoadBoundaryError> {
        let position = event.position;
        self.state
            .apply(&self.queries, event)
            .map_err(|source| LoadBoundaryError::Decode { position, source })
    }

    pub(super) fn state(&self) -> &M {
        &self.state
    }

    pub(super) fn read_to(&self) -> GlobalPosition {
        self.read_to
    }

    pub(super) fn condition(&self) -> AppendCondition {
        AppendCondition::new(self.query.clone(), self.read_to)
    }

    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    pub(super) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }
}
