//! The service as a process of its own, started, asked and killed as a person would.

#![allow(dead_code, unreachable_pub)] // each test binary uses a part of it

pub mod kill_drill;
pub mod load;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// What personal data is sealed with: the same at every start.
pub const MASTER_KEYS: &str = "tests://////////////////////////////////////////8=";

/// The program, with the arguments that name its stack.
#[derive(Clone)]
pub struct Program {
    arguments: Vec<String>,
}

/// A running service.
pub struct Running {
    child: Child,
    /// Where it serves, `http://…`.
    pub base: String,
}

impl Program {
    /// The program on the stack that `arguments` name.
    pub fn on(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_order-fulfilment"));
        command.args(&self.arguments).env("ORDER_MASTER_KEYS", MASTER_KEYS);
        command
    }

    /// Starts the service and waits until it says where it serves.
    pub fn start(&self) -> Running {
        let mut child = self
            .command()
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("its output is ours");
        let mut lines = BufReader::new(output).lines();
        let base = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening: ").map(str::to_owned))
            .expect("it says where it serves");
        // Somebody has to read on, or the program would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Running { child, base }
    }

    /// Runs the program to its end with further arguments.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the program runs")
    }

    /// Audits the books; every invariant must hold.
    pub fn assert_books_are_sound(&self) -> Value {
        let output = self.run(&["audit", "--json"]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the audit failed: {complaints}\n{told}");
        serde_json::from_str(&told).expect("the audit prints one JSON object")
    }
}

impl Running {
    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the service still runs");
        self.child.wait().expect("it was our child");
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    pub fn stop(mut self) {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(asked.expect("kill is there").success());
        let status = self.child.wait().expect("it was our child");
        assert!(status.success(), "the service stopped with {status}");
    }

    /// Waits until `orders` orders have ended, every consumer of the log has reached its end, and
    /// the customers were told of everything.
    pub async fn wait_until_settled(&self, client: &reqwest::Client, orders: u64) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
        loop {
            let mut seen = Vec::new();
            for path in ["orders/counts", "backlog", "health/ready"] {
                seen.push(self.json(client, path).await.unwrap_or(Value::Null));
            }
            if is_settled(&seen[0], &seen[1], &seen[2], orders) {
                return;
            }
            let is_in_time = tokio::time::Instant::now() < deadline;
            assert!(is_in_time, "not settled after 600 s: {seen:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn json(&self, client: &reqwest::Client, path: &str) -> Option<Value> {
        client.get(format!("{}/{path}", self.base)).send().await.ok()?.json().await.ok()
    }
}

fn is_settled(counts: &Value, backlog: &Value, ready: &Value, orders: u64) -> bool {
    let count = |status: &str| counts[status].as_u64().unwrap_or(0);
    let Some(components) = ready["components"].as_array() else {
        return false;
    };
    let is_at_head = |component: &Value| {
        // A consumer of Kafka tells no position in the log; the backlog shows what it has left.
        let name = component["name"].as_str().unwrap_or_default();
        name.starts_with("consumer:") || component["lag_positions"] == 0
    };
    count("shipped") + count("cancelled") >= orders
        && backlog["open_orders"] == 0
        && backlog["untold_changes"] == 0
        && components.iter().all(is_at_head)
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves no process behind; one that ended its service finds it gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
