//! What one rule must know: a fold that says which events it is made of.

use crate::{Event, EventQuery, InvalidTag, RecordedEvent};

/// What one rule must know of the log: a query, and what its events add up to.
///
/// The type is the state. Its blank value carries what the query asks about (which course, which
/// student) and is what an empty log would make of it. It is pure: no I/O, no clock, no chance.
///
/// ```
/// use highwater::{DecisionModel, Event, EventQuery, InvalidTag, RecordedEvent, event_query};
///
/// #[derive(Event)]
/// enum CourseEvent {
///     #[event(name = "course.opened")]
///     Opened { #[event(tag)] course: String, seats: u32 },
///     #[event(name = "course.joined")]
///     Joined { #[event(tag)] course: String, #[event(tag)] student: String },
///     #[event(name = "course.praised")]
///     Praised { #[event(tag)] course: String },
/// }
///
/// /// How many seats of one course are free.
/// #[derive(Clone)]
/// struct FreeSeats {
///     course: String,
///     free: u32,
/// }
///
/// impl DecisionModel for FreeSeats {
///     type Event = CourseEvent;
///
///     fn query(&self) -> Result<EventQuery<CourseEvent>, InvalidTag> {
///         // Praise changes no seat: it isn't asked about, and conflicts with nobody.
///         event_query!(CourseEvent: "course.opened", "course.joined").tagged("course", &self.course)
///     }
///
///     fn evolve(&mut self, event: &CourseEvent, _: &RecordedEvent) {
///         match event {
///             CourseEvent::Opened { seats, .. } => self.free += seats,
///             CourseEvent::Joined { .. } => self.free = self.free.saturating_sub(1),
///             CourseEvent::Praised { .. } => {}
///         }
///     }
/// }
/// ```
///
/// Ask for as little as the rule needs: every event that matches, whoever appends it, sends the
/// decision back to be made again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a decision model",
    label = "write `impl DecisionModel for {Self}`, or give a tuple of 2 to 6 decision models"
)]
pub trait DecisionModel: Send + Sync {
    /// The family that its events are read as.
    type Event: Event;

    /// Which events the rule depends on. It is asked once, of the blank value.
    ///
    /// # Errors
    /// [`InvalidTag`] if what the model asks about can't be a tag.
    fn query(&self) -> Result<EventQuery<Self::Event>, InvalidTag>;

    /// Takes in an event that matches the query, in the log's order. It can't fail: the event is
    /// history. `recorded` is its envelope: position, tags, metadata.
    fn evolve(&mut self, event: &Self::Event, recorded: &RecordedEvent);
}
