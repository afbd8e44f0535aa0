//! Removing this process's containers when it ends, in whatever way it ends.
//!
//! Shared containers live in statics, which Rust never drops, and a killed process drops nothing at all. So the first
//! container of a process is preceded by a small helper process that holds the read end of a pipe. Invariants:
//!
//! 1. Only this process holds the write end (it is close-on-exec), so the helper's read ends exactly when this process
//!    does: by return, panic, abort or kill -9.
//! 2. The helper runs in a process group of its own: Ctrl-C at the terminal does not end it before its work.
//! 3. It removes by label, so a container that was created a moment before the end is found too.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Label of every container that tests start; `cargo xtask services down` finds strays by it.
pub(super) const TEST_LABEL: &str = "highwater.test";
/// Label whose value is the process that owns the container.
pub(super) const PROCESS_LABEL: &str = "highwater.test.process";

const AFTERWARDS: &str = r#"
cat >/dev/null
docker ps --all --quiet --filter "label=$1" | xargs --no-run-if-empty docker rm --force --volumes
"#;

/// The value of [`PROCESS_LABEL`] for this process; from the first call on, its containers are removed at its end.
pub(super) fn watched_process_label() -> &'static str {
    static WATCHED: OnceLock<(String, Option<Child>)> = OnceLock::new();
    let (label, _helper) = WATCHED.get_or_init(|| {
        let label = super::unique_name();
        let helper = spawn_helper(&label);
        (label, helper)
    });
    label
}

/// Without a `docker` command there is no helper; own instances are then still removed on drop.
fn spawn_helper(label: &str) -> Option<Child> {
    Command::new("sh")
        .args(["-c", AFTERWARDS, "reaper"])
        .arg(format!("{PROCESS_LABEL}={label}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()
}
