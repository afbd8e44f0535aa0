//! Every shape that events were ever written in, as far as was recorded.

use serde::{Deserialize, Serialize};

use super::fit::misfits;
use super::report::{Break, ChangeKind, SchemaChange, SchemaReport};
use super::{Direction, EventSchema, EventSchemas, Shape};

/// The record of all shapes: event types, their versions, and for each version the shapes that it
/// had. Kept in a file beside the code ([`SchemaLockFile`](super::SchemaLockFile)) and in the
/// database (`SchemaStore`).
///
/// It only grows. A shape that was ever written is in the log for ever, so every new program is
/// compared with all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemaLock {
    /// Sorted by type, then version.
    events: Vec<LockedEvent>,
}

/// One version of an event type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockedEvent {
    /// The name of the type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version.
    pub version: u32,
    /// True if the last program that was recorded with it stops at events that it doesn't know.
    pub fails_on_unknown: bool,
    /// The shapes of its data, the latest last.
    pub shapes: Vec<Shape>,
}

/// The text isn't a lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchemaLock {
    /// It isn't JSON of the right form.
    #[error("not a record of event schemas")]
    Malformed(#[source] serde_json::Error),
    /// A newer Highwater wrote it.
    #[error("event schemas in format {0}, which this version of Highwater doesn't know")]
    Format(u32),
}

#[derive(Serialize, Deserialize)]
struct Text<E> {
    format: u32,
    events: E,
}

const FORMAT: u32 = 1;

impl SchemaLock {
    /// A record of these events. Of two with one type and version the shapes add up, and the later
    /// one says what becomes of unknown events.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = LockedEvent>) -> Self {
        let mut lock = Self::default();
        for event in events {
            for shape in event.shapes {
                lock.add(&event.event_type, event.version, event.fails_on_unknown, shape);
            }
        }
        lock
    }

    /// Reads what [`SchemaLock::to_json`] wrote.
    ///
    /// # Errors
    /// [`InvalidSchemaLock`].
    pub fn parse(json: &str) -> Result<Self, InvalidSchemaLock> {
        let Text { format, .. }: Text<serde::de::IgnoredAny> =
            serde_json::from_str(json).map_err(InvalidSchemaLock::Malformed)?;
        if format != FORMAT {
            return Err(InvalidSchemaLock::Format(format));
        }
        let Text { events, .. }: Text<Vec<LockedEvent>> =
            serde_json::from_str(json).map_err(InvalidSchemaLock::Malformed)?;
        Ok(Self::of(events))
    }

    /// As JSON text, the same for the same record.
    #[must_use]
    pub fn to_json(&self) -> String {
        let text = Text { format: FORMAT, events: &self.events };
        // Strings, numbers and JSON values always can be written.
        let mut json = serde_json::to_string_pretty(&text).unwrap_or_default();
        json.push('\n');
        json
    }

    /// The versions, sorted by type and number.
    #[must_use]
    pub fn events(&self) -> &[LockedEvent] {
        &self.events
    }

    /// The record with what `schemas` adds to it.
    #[must_use]
    pub fn with(&self, schemas: &EventSchemas) -> Self {
        let mut lock = self.clone();
        for EventSchema { event_type, version, shape } in schemas {
            let fails_on_unknown = schemas.fails_on_unknown(event_type);
            lock.add(event_type, *version, fails_on_unknown, shape.clone());
        }
        lock
    }

    /// What `schemas` changes against the record, and what that breaks.
    ///
    /// A type of the record that the program doesn't know at all is reported as removed: what is in
    /// the log can't be read any more.
    #[must_use]
    pub fn compare(&self, schemas: &EventSchemas) -> SchemaReport {
        let mut changes: Vec<_> =
            schemas.iter().filter_map(|schema| self.change_by(schemas, schema)).collect();
        for locked in &self.events {
            let broken = [
                (ChangeKind::Removed, unread(locked, schemas)),
                (ChangeKind::Changed, changed_by_renaming(locked, schemas)),
            ];
            for (kind, breaks) in broken.into_iter().filter(|(_, breaks)| !breaks.is_empty()) {
                changes.push(SchemaChange {
                    event_type: locked.event_type.clone(),
                    version: locked.version,
                    kind,
                    breaks,
                });
            }
        }
        SchemaReport { changes }
    }

    /// The part of the record whose types the program has or once had. A database may be shared with
    /// programs whose events are none of its business.
    #[cfg(feature = "runtime")]
    pub(super) fn known_to(&self, schemas: &EventSchemas) -> Self {
        let known = self.events.iter().filter(|locked| schemas.knows(&locked.event_type));
        Self { events: known.cloned().collect() }
    }

    fn change_by(&self, schemas: &EventSchemas, schema: &EventSchema) -> Option<SchemaChange> {
        let EventSchema { event_type, version, shape } = schema;
        let mut of_type = self.events.iter().filter(|locked| locked.event_type == *event_type);
        let same = of_type.clone().find(|locked| locked.version == *version);
        let (kind, breaks) = match same {
            Some(locked) if locked.shapes.contains(shape) => {
                if locked.fails_on_unknown == schemas.fails_on_unknown(event_type) {
                    return None;
                }
                (ChangeKind::Policy, Vec::new())
            }
            Some(locked) => (ChangeKind::Changed, changed(locked, shape)),
            None => {
                let newest = of_type.next_back();
                let kind =
                    if newest.is_some() { ChangeKind::NewVersion } else { ChangeKind::Added };
                let met_beside = newest.or_else(|| self.fails_beside(schemas));
                (kind, met_beside.and_then(stops_at_unknown).into_iter().collect())
            }
        };
        Some(SchemaChange { event_type: event_type.clone(), version: *version, kind, breaks })
    }

    /// A type whose readers stop at a new one: who reads the others of the family meets it among
    /// them. What the last program recorded counts, which is with the newest versions of the types
    /// that there still are; the rest tells of programs of long ago.
    fn fails_beside(&self, schemas: &EventSchemas) -> Option<&LockedEvent> {
        let known = || self.events.iter().filter(|locked| schemas.knows(&locked.event_type));
        let is_newest = |locked: &&LockedEvent| {
            let mut others = self.events.iter().filter(|it| it.event_type == locked.event_type);
            others.all(|other| other.version <= locked.version)
        };
        let is_of_today = |locked: &&LockedEvent| schemas.get(&locked.event_type).is_some();
        let mut last = known().filter(is_of_today).filter(is_newest).peekable();
        match last.peek() {
            Some(_) => last.find(|locked| locked.fails_on_unknown),
            None => known().find(|locked| locked.fails_on_unknown),
        }
    }

    fn add(&mut self, event_type: &str, version: u32, fails_on_unknown: bool, shape: Shape) {
        let place = self.events.binary_search_by(|locked| {
            (locked.event_type.as_str(), locked.version).cmp(&(event_type, version))
        });
        match place {
            Ok(index) => {
                let locked = &mut self.events[index];
                locked.fails_on_unknown = fails_on_unknown;
                if !locked.shapes.contains(&shape) {
                    locked.shapes.push(shape);
                }
            }
            Err(index) => {
                let event_type = event_type.to_owned();
                let locked =
                    LockedEvent { event_type, version, fails_on_unknown, shapes: vec![shape] };
                self.events.insert(index, locked);
            }
        }
    }
}

/// What another shape under the same version breaks.
fn changed(locked: &LockedEvent, shape: &Shape) -> Vec<Break> {
    let version = locked.version;
    let next = version + 1;
    let backward = locked.shapes.iter().flat_map(|old| misfits(&old.writes, shape.reads()));
    let forward = locked.shapes.last().map(|old| misfits(&shape.writes, old.reads()));
    let advice = |direction| match direction {
        Direction::Backward => format!(
            "make it version {next} with `upcast(from = {version}, with = …)`, and keep the old \
             shape in a struct"
        ),
        Direction::Forward => format!(
            "make it version {next}, and update every reader before the first writer; or keep \
             writing what older programs require"
        ),
    };
    let breaks = |direction, misfit: super::fit::Misfit| Break {
        direction,
        is_certain: misfit.is_certain,
        path: misfit.path,
        reason: misfit.reason,
        advice: advice(direction),
    };
    let mut all: Vec<Break> = Vec::new();
    let backward = backward.map(|misfit| breaks(Direction::Backward, misfit));
    let forward = forward.into_iter().flatten().map(|misfit| breaks(Direction::Forward, misfit));
    for found in backward.chain(forward) {
        if !all.contains(&found) {
            all.push(found);
        }
    }
    all
}

/// What today's shape breaks in events that were stored under a former name. Nobody writes that name
/// any more, so they are only read.
fn changed_by_renaming(locked: &LockedEvent, schemas: &EventSchemas) -> Vec<Break> {
    let today = schemas.renamed(&locked.event_type);
    let Some(today) = today.filter(|today| today.version == locked.version) else {
        return Vec::new();
    };
    let mut breaks = changed(locked, &today.shape);
    breaks.retain(|found| found.direction == Direction::Backward);
    breaks
}

/// That programs of before stop at an event of a type or version which they don't know.
fn stops_at_unknown(locked: &LockedEvent) -> Option<Break> {
    locked.fails_on_unknown.then(|| Break {
        direction: Direction::Forward,
        is_certain: true,
        path: String::new(),
        reason: "programs of before don't know it, and their policy is to fail".to_owned(),
        advice: "update every reader before the first writer; or first release readers with \
                 `#[event(unknown = \"skip\")]` or a raw variant, where that is safe"
            .to_owned(),
    })
}

/// That the program can't read what the record says is in the log.
fn unread(locked: &LockedEvent, schemas: &EventSchemas) -> Vec<Break> {
    let LockedEvent { event_type, version, .. } = locked;
    if schemas.gets_by_with(event_type, *version) {
        return Vec::new();
    }
    let (reason, advice) = match schemas.get(event_type) {
        Some(today) if *version > today.version => (
            format!("this program knows {event_type} up to version {}", today.version),
            "a newer program writes it already: update this one".to_owned(),
        ),
        Some(_) => (
            "there is no upcaster from this version".to_owned(),
            format!("keep `upcast(from = {version}, with = …)`"),
        ),
        None => (
            "this program has no such type".to_owned(),
            "keep it; or say `renamed_from`, `split(…)` or `dropped(…)`".to_owned(),
        ),
    };
    let direction = Direction::Backward;
    vec![Break { direction, is_certain: true, path: String::new(), reason, advice }]
}
