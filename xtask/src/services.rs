//! The services of a run, on each kind of machine, and `cargo xtask services up|down|env`.
//!
//! Order of preference: addresses in the environment, services left running by `up`, containers. Containers need an
//! engine and images; `docker_engine.rs`, `bare_debian.rs` and `images.rs` see to those. What a run starts, it stops;
//! what `up` starts, `down` stops.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::docker_engine::{self, Engine};
use crate::step::{Failure, Outcome, run_quietly, step, succeeds};
use crate::test_services::{Environment, TestServices};
use crate::workspace::{Workspace, cargo};
use crate::{bare_debian, images};

const ADDRESSES: [&str; 3] =
    ["HIGHWATER_TEST_POSTGRES_URL", "HIGHWATER_TEST_REDIS_URL", "HIGHWATER_TEST_KAFKA_BROKERS"];
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// A machine on which the tests' containers can be started.
pub(crate) struct Machine {
    engine: Option<Engine>,
    images: Environment,
}

impl Machine {
    /// Stops the engine if this run started it.
    pub(crate) fn stop_engine(&mut self) {
        drop(self.engine.take());
    }
}

/// The services of a run while it lasts.
pub(crate) enum Held {
    /// Started by this run.
    ByUs(TestServices),
    /// Left running by `up`.
    ByUp(Environment),
}

impl Held {
    /// What tests must be told.
    pub(crate) fn environment(&self) -> Environment {
        match self {
            Self::ByUs(services) => services.environment.clone(),
            Self::ByUp(environment) => environment.clone(),
        }
    }

    /// Stops them, unless `up` started them.
    pub(crate) fn release(self) {
        if let Self::ByUs(services) = self {
            services.release();
        }
    }
}

/// Makes sure that containers of the services can be started, for the length of this run.
///
/// Addresses in the environment serve the shared services only. Fault tests kill servers of their own, so an engine is
/// looked for in any case; without one those tests fail and say so.
pub(crate) fn prepare() -> Outcome<Machine> {
    prepare_machine(false)
}

/// The shared services for the tests of this run.
pub(crate) fn hold(workspace: &Workspace, machine: &Machine) -> Outcome<Held> {
    let state = State::of(workspace)?;
    if let Some(environment) = state.running() {
        println!("   using the services that `cargo xtask services up` started");
        return Ok(Held::ByUp(environment));
    }
    TestServices::start(&workspace.target, &machine.images).map(Held::ByUs)
}

/// Starts the services and leaves them running.
pub(crate) fn up() -> Outcome {
    let workspace = Workspace::load()?;
    let state = State::of(&workspace)?;
    if state.running().is_some() {
        println!("The services are running already.");
        return print_environment();
    }
    let machine = step("machine for services", || prepare_machine(true))?;
    if let Some(process) = machine.engine.and_then(Engine::leave_running) {
        state.write(ENGINE_PROCESS, &process.to_string())?;
    }
    step("build the test harness", || {
        let arguments = ["build", "--package", "highwater-tests", "--bin", "test-services"];
        run_quietly(&mut cargo(&arguments))
    })?;
    let log = state.folder.join("test-services.log");
    let services = step("start services", || {
        TestServices::start_detached(&workspace.target, &machine.images, &log)
    })?;
    state.write(ENVIRONMENT, &lines(&services.environment))?;
    state.write(HOLDER_PROCESS, &services.process().to_string())?;
    println!("\nThey run until `cargo xtask services down`. In your shell:");
    println!("  eval \"$(cargo xtask services env)\"");
    Ok(())
}

/// Stops what `up` started.
pub(crate) fn down() -> Outcome {
    let state = State::of(&Workspace::load()?)?;
    // It removes its containers before it ends, so the engine goes second.
    state.end(HOLDER_PROCESS, "test-services")?;
    state.end(ENGINE_PROCESS, "dockerd")?;
    state.remove(ENVIRONMENT);
    println!("The services are down.");
    Ok(())
}

/// Prints `export` lines of the services that `up` started.
pub(crate) fn print_environment() -> Outcome {
    let state = State::of(&Workspace::load()?)?;
    let environment = state.running().ok_or_else(|| {
        Failure::new("no services are running; start them: cargo xtask services up")
    })?;
    for (name, value) in environment {
        println!("export {name}='{value}'");
    }
    Ok(())
}

fn prepare_machine(outlives_us: bool) -> Outcome<Machine> {
    match engine_and_images(outlives_us) {
        Err(failure) if ADDRESSES.iter().all(|name| std::env::var_os(name).is_some()) => {
            println!("   services by the environment only; fault tests will fail: {failure}");
            Ok(Machine { engine: None, images: Environment::new() })
        }
        outcome => outcome,
    }
}

fn engine_and_images(outlives_us: bool) -> Outcome<Machine> {
    let folder = Workspace::load()?.state_folder()?;
    let engine = if docker_engine::answers() {
        None
    } else if bare_debian::is_this_machine() {
        bare_debian::install_engine()?;
        let engine = Engine::start(&folder.join("dockerd.log"), outlives_us)?;
        // Nobody used it a moment ago: what it still holds is left over from a run that was cut off with its engine.
        remove_leftover_containers();
        Some(engine)
    } else {
        return Err(Failure::new(
            "the tests need real PostgreSQL, Redis and Kafka, and no container engine answers; start Docker and run \
             cargo xtask test again, or name running services by HIGHWATER_TEST_POSTGRES_URL, \
             HIGHWATER_TEST_REDIS_URL and HIGHWATER_TEST_KAFKA_BROKERS",
        ));
    };
    let images = images::provide(&folder)?;
    Ok(Machine { engine, images })
}

fn remove_leftover_containers() {
    let script = "docker ps --all --quiet --filter label=highwater.test \
                  | xargs --no-run-if-empty docker rm --force --volumes";
    succeeds(Command::new("sh").args(["-c", script]));
}

const ENVIRONMENT: &str = "environment";
const HOLDER_PROCESS: &str = "test-services.pid";
const ENGINE_PROCESS: &str = "dockerd.pid";

/// What `up` wrote down for `env`, `down` and later runs.
struct State {
    folder: PathBuf,
}

impl State {
    fn of(workspace: &Workspace) -> Outcome<Self> {
        Ok(Self { folder: workspace.state_folder()? })
    }

    /// The environment of the services that `up` started, if they still run.
    fn running(&self) -> Option<Environment> {
        let process = self.read(HOLDER_PROCESS)?.parse().ok()?;
        if !is_running(process, "test-services") {
            return None;
        }
        let environment = self.read(ENVIRONMENT)?;
        let pairs = environment.lines().filter_map(|line| line.split_once('='));
        Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// Ends the process whose id is on file, if it is still the program it was.
    fn end(&self, file: &str, program: &str) -> Outcome {
        let process = self.read(file).and_then(|text| text.parse().ok());
        if let Some(process) = process.filter(|process| is_running(*process, program)) {
            docker_engine::terminate(process);
            let deadline = Instant::now() + STOP_PATIENCE;
            while is_running(process, program) {
                if Instant::now() >= deadline {
                    return Err(Failure::new(format!("{program} ({process}) does not end")));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        self.remove(file);
        Ok(())
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(file)).ok()
    }

    fn write(&self, file: &str, content: &str) -> Outcome {
        let path = self.folder.join(file);
        std::fs::write(&path, content)
            .map_err(|error| Failure::new(format!("could not write {}: {error}", path.display())))
    }

    fn remove(&self, file: &str) {
        drop(std::fs::remove_file(self.folder.join(file)));
    }
}

/// Whether process `id` exists and still runs `program`: ids are given out again.
fn is_running(id: u32, program: &str) -> bool {
    let script = "ps -o args= -p \"$1\" | grep -v defunct | grep -q \"$2\"";
    let id = id.to_string();
    succeeds(Command::new("sh").args(["-c", script, "sh", &id, program]))
}

fn lines(environment: &Environment) -> String {
    let lines = environment.iter().map(|(name, value)| format!("{name}={value}\n"));
    lines.collect()
}
