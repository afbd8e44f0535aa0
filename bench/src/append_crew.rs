//! Appends from processes of their own: this program again, once for each.
//!
//! A member opens the log, says so with a line, and then answers every line that it reads, a round's
//! length in milliseconds, with a line that holds a sample. It ends with its input, so a crew whose
//! leader dies doesn't outlive it.

use std::process::Stdio;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use highwater::EventStore;
use highwater::postgres::PostgresStore;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::append::append;
use crate::sample::{PortableSample, Sample};

/// The environment variable by which a member learns where the log is: a URL holds a password, and
/// arguments are for everybody to see.
pub const URL_VARIABLE: &str = "HIGHWATER_BENCH_MEMBER_URL";
/// The hidden subcommand that makes a process a member.
pub const MEMBER: &str = "append-member";

/// Processes that append to one log at the same time.
pub struct AppendCrew {
    members: Vec<Mutex<Member>>,
}

struct Member {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl AppendCrew {
    /// Starts `processes` processes of `writers` writers each; all have the log open when this
    /// returns.
    pub async fn start(url: &str, processes: usize, writers: usize) -> Self {
        // The first applies the migrations, so that the others needn't wait for their lock.
        let mut members = vec![Mutex::new(Member::start(url, writers).await)];
        let others = (1..processes).map(|_| Member::start(url, writers));
        members.extend(join_all(others).await.into_iter().map(Mutex::new));
        Self { members }
    }

    /// Lets all of them append for `length`.
    pub async fn sample(&self, length: Duration) -> Sample {
        let samples =
            self.members.iter().map(async |member| member.lock().await.sample(length).await);
        Sample::together(join_all(samples).await)
    }

    /// Lets the processes end.
    pub async fn dismiss(self) {
        let ended = self.members.into_iter().map(async |member| {
            let Member { mut process, orders, .. } = member.into_inner();
            drop(orders);
            process.wait().await
        });
        let ended = try_join_all(ended).await.expect("a member can be waited for");
        assert!(ended.iter().all(std::process::ExitStatus::success), "a member failed: {ended:?}");
    }
}

impl Member {
    async fn start(url: &str, writers: usize) -> Self {
        let program = std::env::current_exe().expect("this program knows where it is");
        let mut process = Command::new(program)
            .args([MEMBER, "--writers", &writers.to_string()])
            .env(URL_VARIABLE, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("this program can be started again");
        let orders = process.stdin.take().expect("the input is piped");
        let answers = process.stdout.take().expect("the output is piped");
        let mut member = Self { process, orders, answers: BufReader::new(answers).lines() };
        member.answer().await;
        member
    }

    async fn sample(&mut self, length: Duration) -> PortableSample {
        let order = format!("{}\n", length.as_millis());
        self.orders.write_all(order.as_bytes()).await.expect("the member listens");
        serde_json::from_str(&self.answer().await).expect("the member answers with a sample")
    }

    async fn answer(&mut self) -> String {
        let answer = self.answers.next_line().await.expect("the member's output is text");
        answer.expect("the member lives; its own message says what went wrong")
    }
}

/// Is a member: serves its leader until the input ends.
pub async fn serve(writers: usize) {
    let url = std::env::var(URL_VARIABLE).expect("a member is started by its leader only");
    let store = PostgresStore::connect(&url).await.expect("the store opens");
    println!("open");
    while let Some(length) = next_order().await {
        let sample = append(store.clone(), writers, length).await.portable();
        println!("{}", serde_json::to_string(&sample).expect("numbers can be written"));
    }
    store.close().await;
}

async fn next_order() -> Option<Duration> {
    // Reading the input blocks, and the runtime's threads are for the appends.
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let line = read.await.expect("reading doesn't panic").expect("the input is text");
    let millis = line.trim();
    (!millis.is_empty()).then(|| Duration::from_millis(millis.parse().expect("milliseconds")))
}
