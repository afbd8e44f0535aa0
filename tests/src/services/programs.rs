//! A PostgreSQL server of one test, run from programs on this machine instead of in a container.
//!
//! For machines without a container engine: [`POSTGRES_PROGRAMS`](super::POSTGRES_PROGRAMS) names the folder that
//! holds `initdb` and `postgres`. It can do what a container can, by signals.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use super::ServiceError;
use super::host_port::free_host_port;
use super::postgres::SMALL_DISK_MIB;

const SERVICE: &str = "PostgreSQL";

/// A server with its files below one folder, which goes with it.
pub(super) struct LocalPostgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// PostgreSQL doesn't run as root; then, the system's own user for it.
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    server: Mutex<Option<Child>>,
}

impl LocalPostgres {
    /// Makes a cluster and starts its server, which may not answer yet.
    pub(super) fn start(programs: &str, settings: &[&str]) -> Result<Self, ServiceError> {
        let local = Self {
            programs: PathBuf::from(programs),
            folder: TempDir::new().map_err(failed("start"))?,
            port: free_host_port(),
            user: postgres_user(),
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            server: Mutex::default(),
        };
        if let Some((user, group)) = local.user {
            std::os::unix::fs::chown(local.folder.path(), Some(user), Some(group))
                .map_err(failed("start"))?;
        }
        let data = local.data();
        local.succeeds(
            local.program("initdb").args(["--auth=trust", "--username=postgres", "-D"]).arg(data),
        )?;
        local.start_again()?;
        Ok(local)
    }

    pub(super) fn admin_url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    pub(super) fn start_again(&self) -> Result<(), ServiceError> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
        command.args(&self.settings).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        *self.server() = Some(command.spawn().map_err(failed("start"))?);
        Ok(())
    }

    /// Sends a signal to the server and every process of it. When it is the last, waits for their end.
    pub(super) fn signal(&self, signal: &str, is_the_last: bool) -> Result<(), ServiceError> {
        let mut server = self.server();
        let Some(child) = server.as_mut() else {
            return Ok(());
        };
        let mut processes = children_of(child.id());
        processes.insert(0, child.id().to_string());
        // A process that has just ended by itself is no failure.
        let _ = Command::new("kill").arg(signal).args(&processes).stderr(Stdio::null()).status();
        if is_the_last {
            child.wait().map_err(failed("kill"))?;
            *server = None;
            while processes.iter().any(|process| Path::new("/proc").join(process).exists()) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        Ok(())
    }

    pub(super) fn stop(&self) -> Result<(), ServiceError> {
        let mut server = self.server();
        if let Some(mut child) = server.take() {
            let process = child.id().to_string();
            self.succeeds(Command::new("kill").args(["-INT", &process]))?;
            child.wait().map_err(failed("stop"))?;
        }
        Ok(())
    }

    /// A disk of a few mebibytes that the server may write to.
    pub(super) fn small_disk(&self) -> Result<String, ServiceError> {
        let folder = self.folder.path().join("small");
        std::fs::create_dir(&folder).map_err(failed("give a small disk to"))?;
        let options = format!("size={SMALL_DISK_MIB}m,mode=1777");
        self.succeeds(
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder),
        )?;
        Ok(folder.display().to_string())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command.current_dir(self.folder.path());
        command
    }

    fn succeeds(&self, command: &mut Command) -> Result<(), ServiceError> {
        let output = command.output().map_err(failed("start"))?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(ServiceError::Lifecycle { service: SERVICE, action: "start", reason })
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LocalPostgres {
    fn drop(&mut self) {
        let _ = self.signal("-KILL", true);
        let small = self.folder.path().join("small");
        if small.exists() {
            let _ = Command::new("umount").arg(small).status();
        }
    }
}

fn children_of(process: u32) -> Vec<String> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}

/// The system's user `postgres` and its group, if this process is root.
fn postgres_user() -> Option<(u32, u32)> {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    let users = is_root.then(|| std::fs::read_to_string("/etc/passwd").unwrap_or_default())?;
    let fields: Vec<&str> =
        users.lines().find(|line| line.starts_with("postgres:"))?.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> ServiceError {
    move |error| ServiceError::Lifecycle { service: SERVICE, action, reason: error.to_string() }
}
