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
/// If not; the message says which change breaks which direction, and what to do.
#[track_caller]
pub fn check_schema_lock<E: DescribeEvents>(path: impl AsRef<Path>, compatibility: Compatibility) {
    let (file, schemas) = (SchemaLockFile::at(path.as_ref()), EventSchemas::of::<E>());
    let writes = std::env::var(VARIABLE).is_ok_and(|value| value == "lock");
    let outcome = match writes {
        true => file.lock(&schemas, compatibility).map(drop),
        false => file.check(&schemas, compatibility),
    };
    if let Err(error) = outcome {
        panic!("{error}\nto lock what breaks nothing, run the test with {VARIABLE}=lock");
    }
}
