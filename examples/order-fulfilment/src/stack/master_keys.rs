//! The master keys that the keys of customers are wrapped with.
//!
//! They come from the environment. There is no flag for them: whoever lists processes reads flags.
//! Only for SQLite in a folder, on somebody's laptop, a key is made and kept in a file beside the
//! data, so that nothing has to be set up; whoever has that folder can open everything in it.

use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};
use highwater::{InvalidMasterKey, MasterKeys};
use tempfile::NamedTempFile;

/// `name:base64`, several separated by commas, the current one first.
const VARIABLE: &str = "ORDER_MASTER_KEYS";
/// As the variable would have it.
const FILE: &str = "master.key";
const KEY_BYTES: usize = 32;

/// Why there are no master keys. None of them is ever shown.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeysError {
    /// The variable says something else.
    #[error("{VARIABLE} holds no master keys")]
    Variable(#[source] InvalidMasterKey),
    /// There are none, and no folder to keep one in.
    #[error(
        "{VARIABLE} is not set; it holds the keys that personal data is sealed with. To make one: \
         export {VARIABLE}=\"key-1:$(openssl rand -base64 32)\". Keep it as safe as a backup"
    )]
    #[cfg_attr(not(feature = "stack"), expect(dead_code, reason = "said of Postgres only"))]
    Missing,
    /// The file says something else.
    #[error("{} holds no master key", .0.display())]
    FileContent(PathBuf, #[source] InvalidMasterKey),
    /// The file can't be read or written.
    #[error("could not read or write {}", .0.display())]
    File(PathBuf, #[source] Error),
}

/// The keys of the environment.
#[cfg(feature = "stack")]
pub(super) fn of_environment() -> Result<MasterKeys, MasterKeysError> {
    in_variable()?.ok_or(MasterKeysError::Missing)
}

/// The keys of the environment, or else the one that is kept in `folder`. The first who asks makes it.
pub(super) fn of_environment_or(folder: &Path) -> Result<MasterKeys, MasterKeysError> {
    match in_variable()? {
        Some(keys) => Ok(keys),
        None => kept_in(folder),
    }
}

fn in_variable() -> Result<Option<MasterKeys>, MasterKeysError> {
    let Some(text) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    // What isn't Unicode is no key either, and is told like one.
    let keys = MasterKeys::parse(&text.to_string_lossy()).map_err(MasterKeysError::Variable)?;
    Ok(Some(keys))
}

fn kept_in(folder: &Path) -> Result<MasterKeys, MasterKeysError> {
    let file = folder.join(FILE);
    let text = read_or_make(folder, &file).map_err(|e| MasterKeysError::File(file.clone(), e))?;
    MasterKeys::parse(&text).map_err(|error| MasterKeysError::FileContent(file, error))
}

/// The file is there whole or not at all, and is never replaced: what is sealed needs its first key.
fn read_or_make(folder: &Path, file: &Path) -> Result<String, Error> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        read => return read,
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| Error::other(error.to_string()))?;
    // Readable by its owner only.
    let mut made = NamedTempFile::new_in(folder)?;
    write!(made, "local:{}", BASE64_STANDARD.encode(key))?;
    made.as_file().sync_all()?;
    match made.persist_noclobber(file) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => return Err(error.error),
        // Somebody else may have been first; then theirs is the one.
        _ => {}
    }
    std::fs::read_to_string(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let first = read_or_make(folder.path(), &file).unwrap();
        assert_eq!(read_or_make(folder.path(), &file).unwrap(), first);
        assert!(MasterKeys::parse(&first).is_ok());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(read_or_make(other.path(), &other.path().join(FILE)).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_holds_no_key_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "secret-word").unwrap();
        let error = kept_in(folder.path()).err().unwrap();
        assert!(error.to_string().contains(FILE));
        assert!(!format!("{error:?}").contains("secret-word"), "{error:?}");
    }
}
