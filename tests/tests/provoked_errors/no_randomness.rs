//! What a vault answers when the system gives no random numbers: for once, a library of ours stands
//! between the process and the system, as a broken or forbidden system call would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use highwater::{KeyError, MemoryKeyStore, SealError, Vault, WrapError};

use super::vault::{master, moved};

/// Set for the process whose system has no random numbers: the file that takes them away while it
/// is there.
const NO_RANDOMNESS: &str = "HIGHWATER_NO_RANDOMNESS";

/// Stands before the system's own. The error is one that the standard library, whose maps ask as
/// well, knows how to go around.
const GETRANDOM: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

ssize_t getrandom(void *bytes, size_t count, unsigned int flags) {
    const char *gone = getenv("HIGHWATER_NO_RANDOMNESS");
    if (gone && access(gone, F_OK) == 0) {
        errno = ENOSYS;
        return -1;
    }
    return syscall(SYS_getrandom, bytes, count, flags);
}
"#;

fn compiled(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("getrandom.c"), folder.join("getrandom.so"));
    std::fs::write(&source, GETRANDOM).expect("a source file");
    let arguments = ["-shared", "-fPIC", "-o"];
    let compiler = Command::new("cc").args(arguments).arg(&library).arg(source).output();
    let compiler = compiler.expect("cc, which links every Rust program");
    assert!(compiler.status.success(), "{compiler:?}");
    library
}

/// A key or a nonce that isn't random would be worse than none.
#[test]
fn without_random_numbers_nothing_is_sealed_and_no_key_is_made() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["process_without_random_numbers", "--ignored", "--nocapture"])
        .env("LD_PRELOAD", compiled(folder.path()))
        .env(NO_RANDOMNESS, folder.path().join("gone"))
        .output()
        .expect("a process");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("nothing was sealed"), "{output:?}");
}

/// What the process without random numbers does.
#[tokio::test]
#[ignore = "the test above runs it, in a process of its own"]
async fn process_without_random_numbers() {
    let gone = std::env::var(NO_RANDOMNESS).expect("the test above sets it");
    let vault = Vault::new(Arc::new(MemoryKeyStore::new()), master("2026"));
    // Their events have ids already; of the two subjects, ann has a key.
    let (of_ann, of_bob) = (moved("ann"), moved("bob"));
    vault.seal(of_ann.clone()).await.expect("there are random numbers");
    std::fs::write(&gone, "").expect("a file");
    let error = vault.seal(of_ann.clone()).await.expect_err("no nonce");
    assert!(matches!(error, SealError::NoRandomness) && error.is_retryable(), "{error:?}");
    let error = vault.seal(of_bob).await.expect_err("no key");
    let SealError::Key(KeyError::Wrap(source)) = &error else { panic!("{error:?}") };
    assert!(matches!(**source, WrapError::Unavailable { .. }), "{error:?}");
    assert!(error.is_retryable());
    std::fs::remove_file(&gone).expect("the file");
    vault.seal(of_ann).await.expect("there are random numbers again");
    println!("nothing was sealed");
}
