//! The aggregate that the killed processes command: it counts, and every event says on what it was
//! decided.

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve, RecordedEvent, emit_all,
};
use serde::{Deserialize, Serialize};

/// How many events each command emits, so that a command could be torn.
pub const EVENTS_PER_COMMAND: usize = 2;

/// What happens to a tally.
#[derive(Event, Clone, Debug, Serialize, Deserialize)]
pub enum TallyEvent {
    /// It went up by one.
    #[event(name = "tally.counted")]
    Counted {
        /// What it stood at before.
        from: u64,
    },
}

/// A tally never says no.
#[derive(Debug, thiserror::Error)]
#[error("a tally never says no")]
pub struct Never;

/// Counts.
#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(category = "tally", id = String, event = TallyEvent, rejection = Never)]
pub struct Tally {
    count: u64,
}

/// Counts on, once per event.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Tally)]
pub struct Count(
    /// Which tally.
    #[command(id)]
    pub String,
);

impl Decide<Count> for Tally {
    fn decide(&self, _: Count, _: &DecisionContext) -> Decision<Self> {
        let counted = |index| TallyEvent::Counted { from: self.count + index as u64 };
        emit_all((0..EVENTS_PER_COMMAND).map(counted))
    }
}

impl Evolve for Tally {
    fn evolve(&mut self, _: &TallyEvent) {
        self.count += 1;
    }
}

/// Checks that each event of a tally was decided on exactly what stands before it.
///
/// # Errors
/// The first event that wasn't.
pub fn check(log: &[RecordedEvent]) -> Result<(), String> {
    for event in log.iter().filter(|event| event.stream.category() == "tally") {
        let Counted { from } = event.data.to_value().map_err(|error| error.to_string())?;
        if from + 1 != event.version.get() {
            let (stream, version) = (&event.stream, event.version);
            return Err(format!("version {version} of {stream} was decided on {from}"));
        }
    }
    Ok(())
}

/// An event's data, as it stands in the log.
#[derive(Deserialize)]
struct Counted {
    from: u64,
}
