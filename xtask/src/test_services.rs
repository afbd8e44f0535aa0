//! The process that holds the tests' services: `test-services` of the package `highwater-tests`.
//!
//! Starting and probing a service is the test harness's knowledge and stays there; this file starts that program,
//! reads the addresses it prints, and ends it. Its containers end with it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::step::{Failure, Outcome};

const PROGRAM: &str = "test-services";

/// Addresses and images, as `(environment variable, value)`.
pub(crate) type Environment = Vec<(String, String)>;

/// A running holder of services and what it serves.
pub(crate) struct TestServices {
    child: Child,
    pub(crate) environment: Environment,
}

impl TestServices {
    /// Starts the program with the services for as long as this process lives, or has it.
    pub(crate) fn start(target: &Path, images: &Environment) -> Outcome<Self> {
        let mut command = program(target);
        command.stdin(Stdio::piped());
        Self::spawn(&mut command, images)
    }

    /// Starts it for longer than this process lives; it writes complaints to `log` and ends on SIGTERM.
    pub(crate) fn start_detached(target: &Path, images: &Environment, log: &Path) -> Outcome<Self> {
        let log = File::create(log).map_err(|error| cannot_start(&error.to_string()))?;
        let mut command = program(target);
        command.arg("--until-signal").stdin(Stdio::null()).stderr(log).process_group(0);
        Self::spawn(&mut command, images)
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and waits for its end.
    pub(crate) fn release(mut self) {
        // Closed input is its signal.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }

    fn spawn(command: &mut Command, images: &Environment) -> Outcome<Self> {
        let mut child = command
            .envs(images.iter().cloned())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_start(&error.to_string()))?;
        let addresses = child.stdout.take().and_then(addresses);
        match addresses {
            Some(addresses) => {
                Ok(Self { child, environment: [addresses, images.clone()].concat() })
            }
            None => {
                drop(child.wait());
                Err(cannot_start("it ended before its services were ready"))
            }
        }
    }
}

/// The `NAME=value` lines up to `ready`, or nothing when the output ends without it.
fn addresses(output: impl std::io::Read) -> Option<Environment> {
    let mut addresses = Environment::new();
    for line in BufReader::new(output).lines() {
        let line = line.ok()?;
        if line == "ready" {
            return Some(addresses);
        }
        if let Some((name, value)) = line.split_once('=') {
            addresses.push((name.to_owned(), value.to_owned()));
        }
    }
    None
}

fn program(target: &Path) -> Command {
    Command::new(target.join("debug").join(PROGRAM))
}

fn cannot_start(reason: &str) -> Failure {
    Failure::new(format!("could not start the services for tests ({PROGRAM}): {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_at_ready() {
        let read = addresses("A=postgresql://u@h/d?x=y\nB=1\nready\nC=2\n".as_bytes());
        let expected = [("A", "postgresql://u@h/d?x=y"), ("B", "1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read, Some(expected.to_vec()));
    }

    #[test]
    fn output_that_ends_without_ready_is_a_failed_start() {
        assert_eq!(addresses("A=1\n".as_bytes()), None);
    }
}
