//! One golden file: `<event type>.v<version>.json`, a list of cases.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Event, Payload};

/// The cases of one event type and version.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) event_type: String,
    pub(super) version: u32,
    pub(super) cases: Vec<Case>,
}

/// Something that was stored, and what it is read as.
#[derive(Serialize, Deserialize)]
pub(super) struct Case {
    /// As text, so that writing the file again doesn't touch it.
    stored: Box<RawValue>,
    /// `None` where it wasn't said yet; nothing at all is something to be read as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reads_as: Option<Vec<ReadAs>>,
}

/// An event as it would be stored today.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ReadAs {
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) version: u32,
    pub(super) data: Value,
}

/// The files of a folder, by name. A folder that isn't there has none.
pub(super) fn all(folder: &Path) -> Result<Vec<File>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{} can't be read: {error}", folder.display())),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{}: {error}", folder.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(File::read).collect()
}

/// What would lead out of the folder, and what stands for it in a file's name.
const ESCAPES: [(&str, &str); 3] = [("%", "%25"), ("/", "%2F"), ("\\", "%5C")];

/// The name of a file.
pub(super) fn name(event_type: &str, version: u32) -> String {
    let escape = |name: String, (plain, escaped): &(&str, &str)| name.replace(plain, escaped);
    format!("{}.v{version}.json", ESCAPES.iter().fold(event_type.to_owned(), escape))
}

/// The event type in the name of a file.
fn event_type_of(name: &str) -> String {
    let plain = |name: String, (plain, escaped): &(&str, &str)| name.replace(escaped, plain);
    ESCAPES.iter().rev().fold(name.to_owned(), plain)
}

impl File {
    pub(super) fn new(folder: &Path, event_type: &str, version: u32) -> Self {
        let path = folder.join(name(event_type, version));
        Self { path, event_type: event_type.to_owned(), version, cases: Vec::new() }
    }

    fn read(path: PathBuf) -> Result<Self, String> {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let Some((event_type, Ok(version))) =
            stem.rsplit_once(".v").map(|(name, version)| (name, version.parse()))
        else {
            return Err(format!("{} isn't named like `order.placed.v1.json`", path.display()));
        };
        let text = fs::read_to_string(&path)
            .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
        let cases = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no list of cases: {error}", path.display()))?;
        Ok(Self { event_type: event_type_of(event_type), version, cases, path })
    }

    pub(super) fn write(&self) -> Result<(), String> {
        let failed = |error: &dyn std::error::Error| {
            format!("{} can't be written: {error}", self.path.display())
        };
        let mut text = serde_json::to_string_pretty(&self.cases).map_err(|error| failed(&error))?;
        text.push('\n');
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(&error))?;
        }
        fs::write(&self.path, text).map_err(|error| failed(&error))
    }
}

impl Case {
    pub(super) fn new(today: &ReadAs) -> Result<Self, String> {
        let stored = RawValue::from_string(today.data.to_string())
            .map_err(|error| format!("{} can't be written: {error}", today.event_type))?;
        Ok(Self { stored, reads_as: Some(vec![today.clone()]) })
    }

    pub(super) fn stored(&self) -> Value {
        // It was read as JSON, so it is.
        serde_json::from_str(self.stored.get()).unwrap_or_default()
    }

    pub(super) fn payload(&self) -> Result<Payload, String> {
        Payload::from_json(self.stored.get().to_owned()).map_err(|error| error.to_string())
    }
}

impl ReadAs {
    /// The event as it would be stored.
    pub(super) fn of<E: Event>(event: &E) -> Result<Self, String> {
        let event_type = event.event_type().to_owned();
        let data = event.encode().and_then(|data| {
            data.to_value().map_err(|source| crate::EncodeError::Data {
                event_type: event_type.as_str().into(),
                source,
            })
        });
        match data {
            Ok(data) => Ok(Self { event_type, version: event.schema_version(), data }),
            Err(error) => Err(format!("an event can't be written: {error}")),
        }
    }

    pub(super) fn payload(&self) -> Result<Payload, String> {
        Payload::from_value(&self.data).map_err(|error| error.to_string())
    }
}
