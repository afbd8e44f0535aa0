//! An aggregate as it was: at a version, at a position of the log, at a moment.

use jiff::Timestamp;

use super::history::{End, Runs};
use super::{CommandHandler, Loaded};
use crate::{CommandError, Evolve, GlobalPosition, StreamVersion, stream_of};

/// A point in an aggregate's past.
///
/// What lies beyond the last event is the present: the [`Loaded`] tells by its version which event is
/// the last one in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum At {
    /// Behind this version of its stream.
    Version(StreamVersion),
    /// Behind its last event at or before this position of the log. Several aggregates, and a read
    /// model, at one position are one picture of the whole. Above the high-water mark the picture may
    /// still change.
    Position(GlobalPosition),
    /// Behind its last event that was recorded at or before this moment, and all before that one.
    ///
    /// Times are what the store's clock said. They are for people: when clocks jump, a later event
    /// may bear an earlier time, so no moment is sharper than the clocks are. Positions decide; to
    /// look at several things as they were together, take one position for all.
    Moment(Timestamp),
}

impl CommandHandler {
    /// The aggregate that `id` names, as it was; before its first event it is in its default state.
    ///
    /// The state is that of the events, read as this program reads them, up to there. Snapshots at or
    /// before that point are used; a moment costs reading the whole stream once more, to find it.
    ///
    /// # Errors
    /// [`CommandError::Target`], [`CommandError::Load`] or [`CommandError::Decode`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    pub async fn state_at<A: Evolve>(
        &self,
        id: &A::Id,
        at: At,
    ) -> Result<Loaded<A>, CommandError<A::Rejection>> {
        let stream = stream_of::<A>(id).map_err(CommandError::Target)?;
        let history = self.history(&stream);
        let end = match at {
            At::Version(version) => End::Version(version),
            At::Position(position) => End::Position(position),
            At::Moment(moment) => match history.last_recorded_by(moment).await {
                Ok(version) => End::Version(version),
                Err(source) => return Err(CommandError::Load { stream: stream.clone(), source }),
            },
        };
        let past = history.load_until(end, &mut Runs::of([])).await?;
        Ok(past.loaded)
    }
}
