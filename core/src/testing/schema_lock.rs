//! The lock file of a domain crate, checked by its tests.

use std::path::Path;

use crate::schema::{Compatibility, DescribeEvents, EventSchemas, SchemaLockFile};

/// The variable that lets a check write the file: `HIGHWATER_SCHEMAS=lock cargo test`.
const VARIABLE: &str = "HIGHWATER_SCHEMAS";

/// Checks that the events of the family `E` are as the lock file at `path` records them.
///
/// With `HIGHWATER_SCHEMAS=lock` in the environment it adds to the file what changed, if that breaks
/// nothing which `compatibility` demands.
///
/// # Panics
/// If not; the message says which change breaks which direction, and what to do. If
/// `HIGHWATER_SCHEMAS` is something else than `lock`, too.
#[track_caller]
pub fn check_schema_lock<E: DescribeEvents>(path: impl AsRef<Path>, compatibility: Compatibility) {
    let (file, schemas) = (SchemaLockFile::at(path.as_ref()), EventSchemas::of::<E>());
    let outcome = match is_to_lock(std::env::var(VARIABLE).ok().as_deref()) {
        Ok(true) => file.lock(&schemas, compatibility).map(drop),
        Ok(false) => file.check(&schemas, compatibility),
        Err(wrong) => panic!("{wrong}"),
    };
    if let Err(error) = outcome {
        panic!("{error}\nto lock what breaks nothing, run the test with {VARIABLE}=lock");
    }
}

fn is_to_lock(value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("") => Ok(false),
        Some("lock") => Ok(true),
        Some(_) => {
            Err(format!("{VARIABLE} can be `lock`, which adds what changed and breaks nothing"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_says_something_else_is_refused() {
        assert_eq!(is_to_lock(None), Ok(false));
        assert_eq!(is_to_lock(Some("")), Ok(false));
        assert_eq!(is_to_lock(Some("lock")), Ok(true));
        assert!(is_to_lock(Some("locked")).is_err_and(|told| told.contains("`lock`")));
    }
}
