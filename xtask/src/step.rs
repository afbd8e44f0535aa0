//! Steps of a run and the programs they call: a header line, the seconds it took, and a failure that says which
//! command failed. Steps run one after the other; the first failure ends the run.

use std::fmt;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Why a step failed, for a person.
pub(crate) struct Failure(String);

/// What a step leaves: nothing, or the reason to stop.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `work` under a header line and prints the seconds it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("── {name}");
    let started = Instant::now();
    let outcome = work();
    let mark = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("   {mark}, {:.1} s", started.elapsed().as_secs_f64());
    outcome
}

/// Runs a program with its output shown as it comes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| cannot_start(command, &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{} ended with {status}", line_of(command))))
}

/// Runs a program and shows its output only if it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Outcome {
    output_of(command).map(drop)
}

/// Runs a program and returns what it wrote to standard output.
pub(crate) fn output_of(command: &mut Command) -> Outcome<String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let complained = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "{} ended with {}\n{said}{complained}",
        line_of(command),
        output.status
    )))
}

/// Whether a program runs and ends well, whatever it writes.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether a program of this name is on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("could not start {}: {error}", line_of(command)))
}

fn line_of(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
