//! A container engine: whether one answers, starting one, and stopping the one that was started.
//!
//! An engine that was running before is never stopped. Installing one is `bare_debian.rs`'s work.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::step::{Failure, Outcome, succeeds};

const START_PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// An engine of ours; stopped when dropped, unless it is left running.
pub(crate) struct Engine {
    daemon: Option<Child>,
}

/// Whether an engine answers: the `docker` command alone says nothing about that.
pub(crate) fn answers() -> bool {
    succeeds(Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]))
}

impl Engine {
    /// Starts the engine with its log at `log` and waits until it answers.
    ///
    /// It stays in our process group, so that Ctrl-C reaches it as well, unless `outlives_us`.
    pub(crate) fn start(log: &Path, outlives_us: bool) -> Outcome<Self> {
        wait_for_an_earlier_one_to_end();
        let mut command = Command::new("dockerd");
        if outlives_us {
            command.process_group(0);
        }
        let log_file = File::create(log).and_then(|out| Ok((out.try_clone()?, out)));
        let (out, err) = log_file.map_err(|error| cannot_start(log, &error.to_string()))?;
        let daemon = command
            .stdin(std::process::Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| cannot_start(log, &error.to_string()))?;
        let mut engine = Self { daemon: Some(daemon) };
        engine.wait_until_it_answers(log)?;
        Ok(engine)
    }

    /// Lets it run on after us and returns its process id.
    pub(crate) fn leave_running(mut self) -> Option<u32> {
        self.daemon.take().map(|daemon| daemon.id())
    }

    fn wait_until_it_answers(&mut self, log: &Path) -> Outcome {
        let deadline = Instant::now() + START_PATIENCE;
        while !answers() {
            let ended = self.daemon.as_mut().map(Child::try_wait);
            if let Some(Ok(Some(status))) = ended {
                return Err(cannot_start(log, &format!("dockerd ended with {status}")));
            }
            if Instant::now() >= deadline {
                return Err(cannot_start(log, "dockerd does not answer"));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            terminate(daemon.id());
            drop(daemon.wait());
        }
    }
}

/// After Ctrl-C the engine of the run before may take half a minute to end, answers nobody meanwhile and lets no other
/// start. One that stays is not waited for longer: the start then fails with its own message.
fn wait_for_an_earlier_one_to_end() {
    let deadline = Instant::now() + START_PATIENCE;
    while succeeds(Command::new("pgrep").args(["-x", "dockerd"])) && Instant::now() < deadline {
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Asks a process to end in an orderly way.
pub(crate) fn terminate(process: u32) {
    succeeds(Command::new("kill").args(["-TERM", &process.to_string()]));
}

fn cannot_start(log: &Path, reason: &str) -> Failure {
    Failure::new(format!(
        "could not start a container engine: {reason}; its log is {}",
        log.display()
    ))
}
