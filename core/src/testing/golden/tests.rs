//! What a check of golden files says, and what it writes.

use std::fs;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{
    DecodeError, Decoded, EncodeError, EventDescriptor, EventId, FormerType, InvalidPayload,
};

/// Set up by a test: another way to read version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Counted<const FACTOR: u64> {
    by: u64,
}

impl<const FACTOR: u64> Event for Counted<FACTOR> {
    const TYPES: &'static [EventDescriptor] =
        &[EventDescriptor { name: "counted", oldest: 1, version: 2 }];
    const FORMER_TYPES: &'static [FormerType] = &[FormerType {
        name: "tallied",
        oldest: 1,
        version: 1,
        now: &["counted"],
        is_renamed: false,
    }];

    fn event_type(&self) -> &str {
        "counted"
    }

    fn schema_version(&self) -> u32 {
        2
    }

    fn encode(&self) -> Result<Payload, EncodeError> {
        Payload::from_value(self)
            .map_err(|source| EncodeError::Data { event_type: "counted".into(), source })
    }

    fn decode(name: &str, version: u32, data: &Payload) -> Result<Decoded<Self>, DecodeError> {
        let malformed = |source: InvalidPayload| DecodeError::Malformed {
            event_type: name.to_owned(),
            schema_version: version,
            source,
        };
        match version {
            1 => Ok(Decoded::one(Self { by: FACTOR * data.to_value::<u64>().map_err(malformed)? })),
            _ => data.to_value().map(Decoded::one).map_err(malformed),
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("highwater-golden-{}", EventId::new()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    /// The files of two old events and one of today.
    fn whole() -> Self {
        let folder = Self::new();
        folder.put("counted.v1.json", r#"[{"stored":   3}]"#);
        folder.put("tallied.v1.json", r#"[{"stored":4}]"#);
        check::<10>(&folder, 30, Writes::Missing).unwrap();
        folder
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn check<const FACTOR: u64>(folder: &Folder, by: u64, writes: Writes) -> Result<(), String> {
    golden::<Counted<FACTOR>>(&folder.0).with([Counted { by }]).run(writes)
}

#[test]
fn what_is_missing_is_named_with_the_way_to_write_it() {
    let wrong = check::<10>(&Folder::new(), 30, Writes::Nothing).unwrap_err();
    for part in [
        "counted.v2.json is missing",
        "counted.v1.json is missing",
        "tallied.v1.json is missing",
        "HIGHWATER_GOLDEN=write",
    ] {
        assert!(wrong.contains(part), "{wrong}");
    }
}

#[test]
fn written_files_hold_and_what_was_stored_keeps_its_very_text() {
    let folder = Folder::whole();
    check::<10>(&folder, 30, Writes::Nothing).unwrap();
    assert!(folder.text("counted.v1.json").contains("\"stored\": 3"));
    assert!(folder.text("counted.v1.json").contains("\"by\": 30"));
    assert!(folder.text("counted.v2.json").contains("{\"by\":30}"));
}

#[test]
fn a_changed_meaning_of_an_old_event_is_shown_as_a_difference() {
    let folder = Folder::whole();
    let wrong = check::<100>(&folder, 30, Writes::Nothing).unwrap_err();
    assert!(wrong.contains("counted.v1.json, case 1: it is read as something else"), "{wrong}");
    assert!(wrong.contains("-       \"by\": 30"), "{wrong}");
    assert!(wrong.contains("+       \"by\": 300"), "{wrong}");
    let before = folder.text("counted.v1.json");
    let wrong = check::<100>(&folder, 30, Writes::Missing).unwrap_err();
    assert!(wrong.contains("counted.v1.json, case 1: it is read as something else"), "{wrong}");
    assert!(wrong.contains("HIGHWATER_GOLDEN=overwrite"), "{wrong}");
    assert_eq!(folder.text("counted.v1.json"), before, "nothing was accepted");
    check::<100>(&folder, 30, Writes::Anew).unwrap();
    check::<100>(&folder, 30, Writes::Nothing).expect("it was accepted");
}

#[test]
fn what_is_missing_is_added_beside_what_is_there_and_not_beside_what_is_refused() {
    let folder = Folder::whole();
    check::<10>(&folder, 31, Writes::Missing).unwrap();
    let both = folder.text("counted.v2.json");
    assert!(both.contains("{\"by\":30}") && both.contains("{\"by\":31}"), "{both}");
    // Somebody says that the case of today was read as something else.
    folder.put("counted.v2.json", &both.replace("\"by\": 30", "\"by\": 3"));
    let said = folder.text("counted.v2.json");
    assert_ne!(said, both);
    assert!(check::<10>(&folder, 32, Writes::Missing).is_err());
    assert_eq!(folder.text("counted.v2.json"), said);
}

#[test]
fn an_old_event_that_is_read_as_nothing_is_not_one_of_which_nothing_is_said() {
    let folder = Folder::whole();
    folder.put("tallied.v1.json", r#"[{"stored":4}]"#);
    let wrong = check::<10>(&folder, 30, Writes::Nothing).unwrap_err();
    assert!(wrong.contains("tallied.v1.json, case 1: it isn't said"), "{wrong}");
    folder.put("tallied.v1.json", r#"[{"stored":4,"reads_as":[]}]"#);
    let wrong = check::<10>(&folder, 30, Writes::Missing).unwrap_err();
    assert!(wrong.contains("tallied.v1.json, case 1: it is read as something else"), "{wrong}");
}

#[test]
fn a_variable_that_says_something_else_is_refused() {
    assert!(Writes::told(None) == Ok(Writes::Nothing));
    assert!(Writes::told(Some("write")) == Ok(Writes::Missing));
    assert!(Writes::told(Some("overwrite")) == Ok(Writes::Anew));
    assert!(Writes::told(Some("rewrite")).is_err_and(|told| told.contains("`overwrite`")));
}

#[test]
fn a_stored_form_that_changed_is_noticed_by_the_sample() {
    let folder = Folder::whole();
    let wrong = check::<10>(&folder, 31, Writes::Nothing).unwrap_err();
    assert!(wrong.contains("raise its `version`"), "{wrong}");
}

#[test]
fn an_old_event_that_cannot_be_read_any_more_says_why() {
    let folder = Folder::whole();
    folder.put("counted.v1.json", r#"[{"stored":"three"}]"#);
    let wrong = check::<10>(&folder, 30, Writes::Nothing).unwrap_err();
    assert!(wrong.contains("it can't be read: "), "{wrong}");
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = Folder::whole();
    folder.put("readme.json", "[]");
    assert!(check::<10>(&folder, 30, Writes::Nothing).unwrap_err().contains("isn't named like"));
    let folder = Folder::whole();
    folder.put("counted.v1.json", "{}");
    assert!(check::<10>(&folder, 30, Writes::Nothing).unwrap_err().contains("is no list of cases"));
}

#[test]
#[should_panic(expected = "don't hold")]
fn a_check_that_fails_panics() {
    golden::<Counted<1>>("there/is/no/such/folder").check();
}

#[test]
fn a_name_that_no_file_can_have_has_a_file_of_the_folder_all_the_same() {
    let folder = Folder::new();
    for name in ["order/placed", "order\\placed", "50%2Foff", "order.placed"] {
        File::new(&folder.0, name, 1).write().unwrap();
    }
    let files = file::all(&folder.0).unwrap();
    let mut names: Vec<_> = files.iter().map(|file| file.event_type.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["50%2Foff", "order.placed", "order/placed", "order\\placed"]);
}
