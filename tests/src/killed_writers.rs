//! Processes that write to one Postgres and are killed, one after another, while another process
//! reads along; and the oracle that says whether the log is what they were told it is.
//!
//! The parent starts the processes (`src/bin/killed-writer.rs`), holds the other end of their
//! output, kills them with `kill -9` and starts each again at once. A new life is given what its
//! earlier ones left open and makes those attempts again under the same ids, while the server may
//! still be busy with the first of them.
//!
//! # Why the parent knows what was acknowledged
//! 1. A process says what it means to append before it does so, and that it was acknowledged only
//!    when it was; each is one line, written whole.
//! 2. A pipe outlives the process that wrote to it: the parent reads it to its end after the kill.
//!    A last line without its end is dropped: it says nothing that anybody was told.
//! 3. At the end, everything that is still open is made again until the store says what became of
//!    it. So the log must hold the acknowledged events, and no other.

// The parent is a test: what it can't start or kill is that test's failure.
#![allow(clippy::unwrap_used)]

pub mod protocol;
pub mod tally;
pub mod verdict;
pub mod writer;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::protocol::{Intent, Said};
use self::verdict::Ledger;

/// Whether the processes tell the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honesty {
    /// They acknowledge what the store has acknowledged.
    Honest,
    /// They acknowledge before they append: the fault that the oracle must find.
    AcknowledgesEarly,
}

/// How long, how many, how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many processes write.
    pub processes: usize,
    /// How many write in each.
    pub writers: usize,
    /// For how long.
    pub duration: Duration,
    /// How often one of them is killed.
    pub kill_every: Duration,
    /// Whether they tell the truth.
    pub honesty: Honesty,
}

/// What came of a run.
pub struct Outcome {
    /// What the writers said.
    pub ledger: Ledger,
    /// What the reader said.
    pub reader: Vec<Said>,
    /// How many processes were killed.
    pub kills: usize,
}

/// Runs `program` (`killed-writer`) by the plan, on the database at `url`.
///
/// It blocks: processes and pipes are the operating system's, not the runtime's.
///
/// # Panics
/// If a process can't be started, or ends by itself.
#[must_use]
pub fn run(program: &Path, url: &str, plan: Plan) -> Outcome {
    // The first life migrates; the others find that done.
    Process::start(program, url, "settle", &plan, &[]).ended();
    let reader = Process::start_reader(program, url);
    let mut ledger = Ledger::default();
    let mut lives = 0..;
    let mut live = |open: &[Intent]| {
        let name = lives.next().unwrap_or(0).to_string();
        Process::start(program, url, &name, &plan, open)
    };
    let mut processes: Vec<Process> = (0..plan.processes).map(|_| live(&[])).collect();
    let started = Instant::now();
    let mut kills = 0;
    while started.elapsed() < plan.duration {
        // The plan's pace; nothing waits for anything here.
        std::thread::sleep(plan.kill_every);
        let victim = &mut processes[kills % plan.processes];
        let said = victim.killed();
        let mut left_open = Ledger::default();
        left_open.enter(victim.given.iter().cloned().map(Said::Meant));
        left_open.enter(said.iter().cloned());
        let open = left_open.open();
        ledger.enter(said);
        *victim = live(&open);
        kills += 1;
    }
    for process in &mut processes {
        ledger.enter(process.killed());
        kills += 1;
    }
    if plan.honesty == Honesty::Honest {
        let open = ledger.open();
        ledger.enter(Process::start(program, url, "settle", &plan, &open).ended());
    }
    Outcome { ledger, reader: reader.ended_at_head(url), kills }
}

/// A life of a process, and the thread that reads what it says.
struct Process {
    child: Child,
    said: Option<JoinHandle<Vec<Said>>>,
    /// How much of it has been heard.
    heard: Arc<AtomicUsize>,
    /// What its earlier lives had left open.
    given: Vec<Intent>,
}

impl Process {
    fn start(program: &Path, url: &str, name: &str, plan: &Plan, open: &[Intent]) -> Self {
        let writers = if name == "settle" { 0 } else { plan.writers };
        let honesty = match plan.honesty {
            Honesty::Honest => "honest",
            Honesty::AcknowledgesEarly => "early",
        };
        let arguments = ["write", name, &writers.to_string(), honesty];
        let mut process = Self::spawn(program, url, &arguments);
        let mut input = process.child.stdin.take().unwrap();
        for intent in open {
            writeln!(input, "{}", serde_json::to_string(intent).unwrap()).unwrap();
        }
        process.given = open.to_vec();
        process
    }

    fn start_reader(program: &Path, url: &str) -> Self {
        Self::spawn(program, url, &["read"])
    }

    fn spawn(program: &Path, url: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            // Not an argument: everybody may read those, and it holds the password.
            .env(DATABASE, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::<AtomicUsize>::default();
        let counter = heard.clone();
        let said = std::thread::spawn(move || whole_lines(output, &counter));
        Self { child, said: Some(said), heard, given: Vec::new() }
    }

    /// Kills it, wherever it is in its work; what it had said.
    fn killed(&mut self) -> Vec<Said> {
        let begun = Instant::now();
        while self.heard.load(Ordering::Relaxed) < AT_WORK && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(self.child.try_wait().unwrap().is_none(), "a writer ended by itself");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.take().unwrap().join().unwrap()
    }

    /// Waits until it ends; what it had said.
    fn ended(mut self) -> Vec<Said> {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "it ended with {status}");
        self.said.take().unwrap().join().unwrap()
    }

    /// Lets a reader read to the end of the log as it is now.
    fn ended_at_head(mut self, url: &str) -> Vec<Said> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let head = runtime.block_on(async {
            use highwater::EventStore;
            let store = highwater::postgres::PostgresStore::connect(url).await.unwrap();
            store.high_water_mark().await.unwrap()
        });
        writeln!(self.child.stdin.as_mut().unwrap(), "{head}").unwrap();
        self.ended()
    }
}

impl Drop for Process {
    /// A test that failed leaves nobody writing.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Environment variable of the processes: the database's URL.
pub const DATABASE: &str = "HIGHWATER_KILLED_WRITER_DATABASE";

/// What a process has said that is at work, however long its start took.
const AT_WORK: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// All lines that were written to their end, counted as they come.
fn whole_lines(mut output: impl BufRead, heard: &AtomicUsize) -> Vec<Said> {
    let mut said = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
        said.push(serde_json::from_str(&line).unwrap());
        heard.fetch_add(1, Ordering::Relaxed);
        line.clear();
    }
    said
}
