//! One model or several as one: their queries are alternatives, each event goes to whom it concerns.

use crate::{DecisionModel, DecodeError, Event, EventQuery, InvalidTag, Query, RecordedEvent};

/// What a decision depends on: one [`DecisionModel`], or a tuple of two to six, or a tuple of such
/// tuples.
///
/// A tuple is read at once and has one condition: its query is what any of its models asks for. An
/// event reaches only the models whose own query it matches, so a model is the same alone and in
/// company. Implement [`DecisionModel`]; this follows.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a decision model nor a tuple of 2 to 6 of them",
    label = "write `impl DecisionModel for {Self}`"
)]
pub trait DecisionModels: fold::Fold {}

impl<M: fold::Fold> DecisionModels for M {}

/// Sealed: what a tuple means is one thing.
pub(super) mod fold {
    use super::{DecodeError, InvalidTag, Query, RecordedEvent};

    /// How models are asked and fed.
    pub trait Fold: Send + Sync {
        /// The query of each model, in the shape of the models.
        type Queries: Send + Sync;

        /// Asks each model.
        fn queries(&self) -> Result<Self::Queries, InvalidTag>;

        /// Adds what the models ask for to `query`.
        fn add_to(queries: &Self::Queries, query: Query) -> Query;

        /// Gives the event to each model whose query it matches.
        fn apply(
            &mut self,
            queries: &Self::Queries,
            event: &RecordedEvent,
        ) -> Result<(), DecodeError>;
    }
}

/// What one model asks for.
pub struct Asked<E> {
    /// In the names of today.
    asked: EventQuery<E>,
    /// In every name under which it may be stored.
    of_log: Query,
}

impl<E: Event> Asked<E> {
    /// True if the model asked for what the stored event is read as. Part of an old event that was
    /// split may be none of its business.
    fn is_about(&self, event: &E, recorded: &RecordedEvent) -> bool {
        let is_as_stored = !EventQuery::<E>::reads_former_types();
        is_as_stored || self.asked.asks_for(event.event_type(), &recorded.tags)
    }
}

impl<M: DecisionModel> fold::Fold for M {
    type Queries = Asked<M::Event>;

    fn queries(&self) -> Result<Asked<M::Event>, InvalidTag> {
        let asked = self.query()?;
        Ok(Asked { of_log: asked.clone().into(), asked })
    }

    fn add_to(queries: &Asked<M::Event>, query: Query) -> Query {
        queries.of_log.items().iter().cloned().fold(query, Query::or)
    }

    fn apply(
        &mut self,
        queries: &Asked<M::Event>,
        recorded: &RecordedEvent,
    ) -> Result<(), DecodeError> {
        if !queries.of_log.matches(&recorded.event_type, &recorded.tags) {
            return Ok(());
        }
        for event in recorded.decode::<M::Event>()? {
            if queries.is_about(&event, recorded) {
                self.evolve(&event, recorded);
            }
        }
        Ok(())
    }
}

macro_rules! fold_tuple {
    ($($model:ident $place:tt),+) => {
        impl<$($model: fold::Fold),+> fold::Fold for ($($model,)+) {
            type Queries = ($($model::Queries,)+);

            fn queries(&self) -> Result<Self::Queries, InvalidTag> {
                Ok(($(self.$place.queries()?,)+))
            }

            fn add_to(queries: &Self::Queries, query: Query) -> Query {
                $(let query = $model::add_to(&queries.$place, query);)+
                query
            }

            fn apply(
                &mut self,
                queries: &Self::Queries,
                event: &RecordedEvent,
            ) -> Result<(), DecodeError> {
                $(self.$place.apply(&queries.$place, event)?;)+
                Ok(())
            }
        }
    };
}

fold_tuple!(A 0, B 1);
fold_tuple!(A 0, B 1, C 2);
fold_tuple!(A 0, B 1, C 2, D 3);
fold_tuple!(A 0, B 1, C 2, D 3, E 4);
fold_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
