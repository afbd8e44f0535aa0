//! Rules about one source file at a time.

use std::path::{Path, PathBuf};

use crate::step::{Failure, Outcome};

/// Past this a file holds two things.
const LONGEST_FILE: usize = 500;
/// Names that say nothing about what is inside, so that anything ends up there.
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "stuff"];
/// Split, so that this file keeps its own rule.
const UNFINISHED: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Folders whose files are made, not written.
const MADE: [&str; 2] = ["target", ".git"];

/// The breaches of every Rust file below `root`.
pub(super) fn breaches(root: &Path) -> Outcome<Vec<String>> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();
    let mut breaches = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
        let name = file.strip_prefix(root).unwrap_or(&file);
        breaches.extend(breaches_of(name, &text));
    }
    Ok(breaches)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Outcome {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let is_made = path.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
        if path.is_dir() && !is_made {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn breaches_of(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // A fixture of a compiler test is one mistake, named by its file.
    let is_mistake = file.components().any(|part| part.as_os_str() == "ui");
    if !is_mistake && !text.starts_with("//!") {
        found.push("opens without `//!`: say what the file owns and leaves out".to_owned());
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!("{lines} lines, past {LONGEST_FILE}: what is the second thing in it?"));
    }
    let stem = file.file_stem().unwrap_or_default();
    if EMPTY_NAMES.iter().any(|name| stem == *name) {
        found.push("has a name that says nothing: name it after the one thing in it".to_owned());
    }
    for (index, line) in text.lines().enumerate() {
        if UNFINISHED.iter().any(|word| line.contains(word)) {
            found.push(format!("line {}: unfinished work is an issue, not a comment", index + 1));
        }
    }
    found.into_iter().map(|breach| format!("{} {breach}", file.display())).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("could not read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(file: &str, text: &str) -> usize {
        breaches_of(Path::new(file), text).len()
    }

    #[test]
    fn a_file_that_says_what_it_owns_is_tidy() {
        assert_eq!(count("core/src/append.rs", "//! Owns appending.\n"), 0);
    }

    #[test]
    fn each_rule_finds_its_breach() {
        assert_eq!(count("append.rs", "fn f() {}\n"), 1, "no head");
        assert_eq!(count("helpers.rs", "//! Help.\n"), 1, "an empty name");
        let long = "//! Long.\n".repeat(LONGEST_FILE + 1);
        assert_eq!(count("append.rs", &long), 1, "too long");
        let unfinished = format!("//! Head.\n// {} later\n", UNFINISHED[0]);
        assert_eq!(count("append.rs", &unfinished), 1, "unfinished");
    }
}
