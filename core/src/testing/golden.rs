//! Golden files: old events kept in the repository, with what they must be read as.
//!
//! This file owns the check and what it tells; how a file is named and laid out is in `golden/file`.

mod file;

#[cfg(test)]
mod tests;

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::file::{Case, File, ReadAs};
use super::diff;
use crate::{Event, Evolve, Payload};

/// The variable that lets a check write: `HIGHWATER_GOLDEN=write cargo test`.
const VARIABLE: &str = "HIGHWATER_GOLDEN";

/// What a check may write.
#[derive(Clone, Copy, PartialEq)]
enum Writes {
    Nothing,
    /// What isn't there; what is there stays.
    Missing,
    /// And anew what old events are read as.
    Anew,
}

impl Writes {
    fn told(value: Option<&str>) -> Result<Self, String> {
        match value {
            None | Some("") => Ok(Self::Nothing),
            Some("write") => Ok(Self::Missing),
            Some("overwrite") => Ok(Self::Anew),
            Some(_) => Err(format!(
                "{VARIABLE} can be `write`, which adds what is missing, or `overwrite`, which \
                 accepts what has changed as well"
            )),
        }
    }
}

/// Begins a check of the golden files in `folder`: stored events of the family `E`, one file per
/// event type and version, such as `order.placed.v1.json` (a `/` in the type's name is `%2F` there).
///
/// A file lists what was stored, and what that must be read as today:
///
/// ```json
/// [
///   {
///     "stored": {"buyer":"ada"},
///     "reads_as": [{ "type": "order.placed", "version": 2, "data": { "customer": "ada" } }]
///   }
/// ]
/// ```
///
/// [`check`](Golden::check) fails if a file can't be read, if what it is read as has another meaning
/// than it had, if reading that once more changes it, and if a file is missing: for a type of today,
/// for an older version that is still read, for a former name.
///
/// ```
/// use highwater::Event;
/// use highwater::testing::golden;
///
/// #[derive(Event)]
/// enum DoorEvent {
///     #[event(name = "door.opened")]
///     Opened { by: String },
/// }
///
/// # let folder = std::env::temp_dir().join(format!("golden-{}", highwater::EventId::new()));
/// # std::fs::create_dir(&folder).unwrap();
/// # std::fs::write(folder.join("door.opened.v1.json"), r#"[{"stored":{"by":"ada"},
/// # "reads_as":[{"type":"door.opened","version":1,"data":{"by":"ada"}}]}]"#).unwrap();
/// // In a test: `concat!(env!("CARGO_MANIFEST_DIR"), "/golden")`.
/// golden::<DoorEvent>(&folder).with([DoorEvent::Opened { by: "ada".to_owned() }]).check();
/// # std::fs::remove_dir_all(&folder).unwrap();
/// ```
#[must_use = "nothing is checked until `check()`"]
pub fn golden<E: Event>(folder: impl AsRef<Path>) -> Golden<E> {
    Golden { folder: folder.as_ref().to_owned(), samples: Vec::new(), evolving: Vec::new() }
}

/// What two histories make of an aggregate, if it isn't the same.
type Evolving<E> = Box<dyn Fn(&[E], &[E]) -> Option<String>>;

/// A check of golden files; see [`golden`].
#[must_use = "nothing is checked until `check()`"]
pub struct Golden<E> {
    folder: PathBuf,
    samples: Vec<E>,
    evolving: Vec<Evolving<E>>,
}

impl<E: Event> Golden<E> {
    /// Adds events as they are stored today. Each must be in the file of its type and version, so a
    /// change of the stored form doesn't go unseen; missing files are written from them.
    pub fn with(mut self, samples: impl IntoIterator<Item = E>) -> Self {
        self.samples.extend(samples);
        self
    }

    /// Checks as well that an aggregate becomes the same by an old event as by what it is read as,
    /// each behind a `history` on which every event of the files makes sense.
    pub fn evolving<A>(mut self, history: impl IntoIterator<Item = E>) -> Self
    where
        A: Evolve<Event = E> + PartialEq + Debug,
    {
        let history: Vec<_> = history.into_iter().collect();
        let state = move |events: &[E]| {
            let mut state = A::default();
            history.iter().chain(events).for_each(|event| state.evolve(event));
            state
        };
        self.evolving.push(Box::new(move |old, today| {
            let (by_old, by_today) = (state(old), state(today));
            (by_old != by_today).then(|| diff::of(&by_today, &by_old))
        }));
        self
    }

    /// Checks every file, and that none is missing.
    ///
    /// With `HIGHWATER_GOLDEN=write` in the environment it adds what is missing: files, cases, what an
    /// old event is read as. What is there it leaves, and goes on refusing: an event that is read as
    /// something else than before may mean a wrong state in production. Only
    /// `HIGHWATER_GOLDEN=overwrite` accepts that. What was `stored` is never changed: that is history.
    ///
    /// # Panics
    /// With everything that is wrong, as differences line by line.
    #[track_caller]
    pub fn check(self) {
        let value = std::env::var(VARIABLE).ok();
        if let Err(wrong) = Writes::told(value.as_deref()).and_then(|writes| self.run(writes)) {
            panic!("the golden files in {} don't hold\n\n{wrong}", self.folder.display());
        }
    }

    fn run(&self, writes: Writes) -> Result<(), String> {
        let mut files = file::all(&self.folder)?;
        let mut wrong = self.samples_missing_in(&mut files, writes)?;
        let mut held = Vec::new();
        for file in &mut files {
            let of_cases = (0..file.cases.len()).map(|index| self.check_case(file, index, writes));
            let of_cases: Vec<_> = of_cases.filter_map(Result::err).collect();
            // Nothing new is written beside what is refused.
            if of_cases.is_empty() {
                held.push(file.path.clone());
            }
            wrong.extend(of_cases);
        }
        wrong.extend(missing::<E>(&files, &self.folder));
        if writes != Writes::Nothing {
            let held = files.iter().filter(|file| held.contains(&file.path));
            held.into_iter().try_for_each(File::write)?;
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n")) }
    }

    /// Samples that no file has; where it `writes`, they are added instead.
    fn samples_missing_in(
        &self,
        files: &mut Vec<File>,
        writes: Writes,
    ) -> Result<Vec<String>, String> {
        let mut wrong = Vec::new();
        for sample in &self.samples {
            let today = ReadAs::of(sample)?;
            let place = files.iter().position(|file| {
                (&file.event_type, file.version) == (&today.event_type, today.version)
            });
            let index = match place {
                Some(index) => index,
                None if writes != Writes::Nothing => {
                    files.push(File::new(&self.folder, &today.event_type, today.version));
                    files.len() - 1
                }
                // It is told of as a missing file.
                None => continue,
            };
            let cases = &mut files[index].cases;
            if cases.iter().any(|case| case.stored() == today.data) {
                continue;
            }
            if writes != Writes::Nothing {
                cases.push(Case::new(&today)?);
            } else {
                let differs = cases.last().map(|case| difference(&case.stored(), &today.data));
                wrong.push(format!(
                    "{}: no case is stored as this event is today. If its stored form changed, \
                     raise its `version` and write an upcaster; if it is a new case, run the test \
                     with {VARIABLE}=write\n{}",
                    files[index].path.display(),
                    differs.unwrap_or_default(),
                ));
            }
        }
        Ok(wrong)
    }

    fn check_case(&self, file: &mut File, index: usize, writes: Writes) -> Result<(), String> {
        let told = |wrong: String| format!("{}, case {}: {wrong}", file.path.display(), index + 1);
        let case = &file.cases[index];
        let stored = case.payload().map_err(&told)?;
        let old = self.read(&file.event_type, file.version, &stored).map_err(&told)?;
        let is_now: Vec<_> = old.iter().map(ReadAs::of).collect::<Result<_, _>>().map_err(&told)?;
        if let Some(refused) = refused(case.reads_as.as_deref(), &is_now, writes) {
            return Err(told(refused));
        }
        let mut today = Vec::new();
        for now in &is_now {
            let payload = now.payload().map_err(&told)?;
            today.extend(self.read(&now.event_type, now.version, &payload).map_err(&told)?);
        }
        let again: Vec<_> =
            today.iter().map(ReadAs::of).collect::<Result<_, _>>().map_err(&told)?;
        if again != is_now {
            let difference = difference(&to_json(&is_now), &to_json(&again));
            return Err(told(format!("stored anew, it is read as something else\n{difference}")));
        }
        for differs in &self.evolving {
            if let Some(difference) = differs(&old, &today) {
                return Err(told(format!(
                    "an aggregate becomes another by it than by what it is read as\n{difference}"
                )));
            }
        }
        file.cases[index].reads_as = Some(is_now);
        Ok(())
    }

    fn read(&self, event_type: &str, version: u32, data: &Payload) -> Result<Vec<E>, String> {
        match E::decode(event_type, version, data) {
            Ok(events) => Ok(events.into_iter().collect()),
            Err(error) => Err(format!("it can't be read: {}", with_causes(&error))),
        }
    }
}

/// Why an event must not be read as `is` while its file says that it `was` something else.
fn refused(was: Option<&[ReadAs]>, is: &[ReadAs], writes: Writes) -> Option<String> {
    match (was, writes) {
        (None, Writes::Nothing) => Some(format!(
            "it isn't said what it is read as; run the test with {VARIABLE}=write and review the file"
        )),
        (Some(was), Writes::Nothing | Writes::Missing) if was != is => Some(format!(
            "it is read as something else than before, and so is every event that was stored like \
             it: states, read models and sagas that are built anew come out differently. If that is \
             right, run the test with {VARIABLE}=overwrite (`write` only adds what is missing) and \
             review the file\n{}",
            difference(&to_json(was), &to_json(is))
        )),
        _ => None,
    }
}

/// What should have a file and has none.
fn missing<E: Event>(files: &[File], folder: &Path) -> Vec<String> {
    let has = |name: &str, version: Option<u32>| {
        files.iter().any(|file| {
            file.event_type == name && version.is_none_or(|version| file.version == version)
        })
    };
    let path = |name: &str, version: u32| folder.join(file::name(name, version));
    let mut wrong = Vec::new();
    for known in E::TYPES.iter().filter(|known| !has(known.name, Some(known.version))) {
        wrong.push(format!(
            "{} is missing: give an event of this type to `with(…)`, run the test once with \
             {VARIABLE}=write, and commit the file",
            path(known.name, known.version).display()
        ));
    }
    for known in E::TYPES {
        for version in (known.oldest..known.version).filter(|old| !has(known.name, Some(*old))) {
            wrong.push(format!(
                "{} is missing: version {version} is still read. Take a stored event of it, as \
                 `[{{\"stored\": …}}]`, and run the test once with {VARIABLE}=write",
                path(known.name, version).display()
            ));
        }
    }
    let former = E::FORMER_TYPES.iter().filter(|former| !former.now.is_empty());
    for former in former.filter(|former| !has(former.name, None)) {
        wrong.push(format!(
            "{} is missing: events of this name are read as {}. Take a stored one, as \
             `[{{\"stored\": …}}]`, and run the test once with {VARIABLE}=write",
            path(former.name, former.version).display(),
            former.now.join(", ")
        ));
    }
    wrong
}

fn to_json(events: &[ReadAs]) -> Value {
    // Texts, numbers and JSON values always can be written.
    serde_json::to_value(events).unwrap_or_default()
}

/// JSON as people read it.
struct Pretty<'a>(&'a Value);

impl Debug for Pretty<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

fn difference(expected: &Value, actual: &Value) -> String {
    diff::of(&Pretty(expected), &Pretty(actual))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_causes(source)),
        None => error.to_string(),
    }
}
