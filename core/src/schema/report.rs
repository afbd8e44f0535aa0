//! What a change of events breaks, and what to do about it.

use std::fmt;

use serde::Serialize;

use super::{Compatibility, Direction};

/// The differences between a record and a program; empty if there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SchemaReport {
    /// What changed, by type and version.
    pub changes: Vec<SchemaChange>,
}

/// One event type that isn't as the record has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SchemaChange {
    /// The name of the type.
    pub event_type: String,
    /// The version.
    pub version: u32,
    /// What happened to it.
    pub kind: ChangeKind,
    /// What that breaks; nothing if every program gets by.
    pub breaks: Vec<Break>,
}

/// What happened to an event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It has a higher version than before.
    NewVersion,
    /// The version is the same, the shape is another.
    Changed,
    /// The program can't read it any more, or not yet.
    Removed,
    /// Only what becomes of unknown events is another.
    Policy,
}

/// A reader that can't take what is written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Break {
    /// Who reads what.
    pub direction: Direction,
    /// False if no rule can say; then it counts as broken.
    pub is_certain: bool,
    /// Where in the data; empty for the whole.
    pub path: String,
    /// Why.
    pub reason: String,
    /// What to do.
    pub advice: String,
}

impl SchemaReport {
    /// True if the record has everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What breaks in a direction that `compatibility` demands.
    pub fn breaks(
        &self,
        compatibility: Compatibility,
    ) -> impl Iterator<Item = (&SchemaChange, &Break)> {
        let all = self
            .changes
            .iter()
            .flat_map(|change| change.breaks.iter().map(move |found| (change, found)));
        all.filter(move |(_, found)| compatibility.demands(found.direction))
    }

    /// True if nothing breaks in the direction that `compatibility` demands.
    #[must_use]
    pub fn is_compatible(&self, compatibility: Compatibility) -> bool {
        self.breaks(compatibility).next().is_none()
    }
}

impl fmt::Display for SchemaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_type, version, kind, breaks } = self;
        let what = match kind {
            ChangeKind::Added => "is new",
            ChangeKind::NewVersion => "is a new version",
            ChangeKind::Changed => "has another shape",
            ChangeKind::Removed => "can't be read",
            ChangeKind::Policy => "is read under another policy for unknown events",
        };
        write!(f, "{event_type} version {version} {what}")?;
        match breaks.as_slice() {
            [] => f.write_str(" (breaks nothing)"),
            breaks => breaks.iter().try_for_each(|found| write!(f, "\n{found}")),
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, is_certain, path, reason, advice } = self;
        let breaks = if *is_certain { "breaks" } else { "can't tell:" };
        let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
        write!(f, "  {breaks} {direction}{place}: {reason}\n    → {advice}")
    }
}
