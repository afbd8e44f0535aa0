//! What a projection is: which events it reads, and what it writes for each.
//!
//! The logic only. The loop is in `runner`, the databases in `postgres`, `sqlite` and `redis`.

use async_trait::async_trait;
use highwater_core::{Event, RecordedEvent};
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "redis"))]
use highwater_core::{EventType, Selection};

use crate::ProjectError;

/// The name of a read model and the events that it is made of.
///
/// `NAME` and `VERSION` together name the checkpoint. Raise `VERSION` to build the read model anew
/// from the first event; since the old version's data is not touched, give the new one tables (or a
/// key prefix) of its own, and let readers move over once it has caught up.
pub trait Projection: Send + Sync + 'static {
    /// The events that it reads: those stored under any of [`Event::stored_names`], whatever their
    /// stream.
    type Event: Event;

    /// Names the read model in its checkpoint, in health and in `caught_up`. Never rename it.
    const NAME: &'static str;

    /// Which build of the read model this is.
    const VERSION: u32 = 1;
}

/// Writes a read model through a `W`: an `sqlx::PgConnection`, an `sqlx::SqliteConnection` or a
/// [`RedisBatch`](crate::RedisBatch). One projection may implement it for several.
///
/// # Contract
/// - Every effect MUST go through `writer`, which is what ties it to the checkpoint: then each event
///   has its effect exactly once, whatever dies when. What goes elsewhere happens at least once.
/// - `project` MUST NOT end the writer's transaction.
/// - `prepare` MUST be repeatable: it is called every time a runner takes the read model over.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't say how to write to `{W}`",
    label = "implement `Project<{W}>` for this projection"
)]
pub trait Project<W>: Projection {
    /// Creates what `project` writes to. Processes that start together call it one after another.
    ///
    /// # Errors
    /// [`ProjectError`].
    async fn prepare(&self, writer: &mut W) -> Result<(), ProjectError> {
        let _ = writer;
        Ok(())
    }

    /// Writes what follows from one event. Events arrive in order of position, each once; those that
    /// an old event was split into come one after another, with the same `recorded`.
    ///
    /// # Errors
    /// [`ProjectError::Unavailable`] is tried again; anything else stops the projection at this
    /// event until somebody mends it. No event is ever skipped.
    ///
    /// # Cancel safety
    /// Dropped in flight, nothing of its page is kept; the page comes again.
    async fn project(
        &self,
        event: &Self::Event,
        recorded: &RecordedEvent,
        writer: &mut W,
    ) -> Result<(), ProjectError>;
}

/// The part of the log that `P` reads.
#[cfg(any(feature = "postgres", feature = "sqlite", feature = "redis"))]
pub(crate) fn selection_of<P: Projection>() -> Selection {
    Selection::types(P::Event::stored_names().into_iter().map(EventType::from_static))
}

/// Projects every event of a page, in order.
///
/// The first that fails ends it with an error that names the event.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) async fn project_all<P, W>(
    projection: &P,
    events: &[RecordedEvent],
    writer: &mut W,
) -> Result<(), crate::ReadModelError>
where
    P: Project<W>,
    W: Send,
{
    for recorded in events {
        project_one(projection, recorded, writer)
            .await
            .map_err(|source| crate::ReadModelError::at(recorded, source))?;
    }
    Ok(())
}

#[cfg(any(feature = "postgres", feature = "sqlite", feature = "redis"))]
pub(crate) async fn project_one<P, W>(
    projection: &P,
    recorded: &RecordedEvent,
    writer: &mut W,
) -> Result<(), ProjectError>
where
    P: Project<W>,
    W: Send,
{
    for event in recorded.decode::<P::Event>()? {
        projection.project(&event, recorded, writer).await?;
    }
    Ok(())
}
