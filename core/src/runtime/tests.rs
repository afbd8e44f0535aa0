//! The runtime with components that do what a test tells them, on a clock that stands still while
//! anything can go on: pauses cost no time, and what is seen in one is seen for sure.

mod progress;
mod shutdown;
mod starting;
mod supervision;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::*;
use crate::{
    Append, AppendError, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent,
    StreamId,
};

/// How one run of a component ends.
#[derive(Clone, Copy)]
enum Run {
    Retry,
    Fatal,
    Panic,
    /// Panics without a text.
    PanicOddly,
    /// Is well for so long, then fails.
    RetryAfter(Duration),
    UntilShutdown,
}

/// A component that runs as its script says; the last entry is repeated for ever.
struct Scripted {
    name: &'static str,
    script: Vec<Run>,
    starts: UnboundedSender<Instant>,
    runs: std::sync::atomic::AtomicUsize,
}

/// The component, and when it was started.
fn scripted(name: &'static str, script: &[Run]) -> (Scripted, UnboundedReceiver<Instant>) {
    let (starts, started) = unbounded_channel();
    let runs = std::sync::atomic::AtomicUsize::new(0);
    (Scripted { name, script: script.to_vec(), starts, runs }, started)
}

#[async_trait]
impl Component for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        let run = self.runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        // A test that looks at nothing has dropped its end.
        let _ = self.starts.send(Instant::now());
        let lost = || ComponentError::retry("reading", "the line is cut");
        match self.script[run.min(self.script.len() - 1)] {
            Run::Retry => Err(lost()),
            Run::Fatal => Err(ComponentError::fatal("reading", "the table is gone")),
            Run::Panic => panic!("index {run} is out of bounds"),
            Run::PanicOddly => std::panic::panic_any(run),
            Run::RetryAfter(time) => {
                tokio::time::sleep(time).await;
                Err(lost())
            }
            Run::UntilShutdown => {
                context.shutdown.cancelled().await;
                Ok(())
            }
        }
    }
}

fn builder() -> HighwaterBuilder {
    Highwater::builder(Arc::new(MemoryStore::new()))
}

fn health_of(app: &Highwater, component: &str) -> ComponentHealth {
    let all = app.health().components();
    let found = all.into_iter().find(|(name, _)| name == component);
    found.expect("every component is listed").1
}

/// Longer than anything takes. It costs nothing here, and what never comes is noticed.
const AN_HOUR: Duration = Duration::from_secs(3_600);

/// When a component is started next.
async fn start(starts: &mut UnboundedReceiver<Instant>) -> Instant {
    let started = tokio::time::timeout(AN_HOUR, starts.recv()).await;
    started.expect("a start within the hour").expect("the component is there")
}

/// Lets tasks run until it is so, while time stands still.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came to that");
}

fn restarting(error: &str, failures: u32) -> ComponentHealth {
    ComponentHealth::Restarting { error: error.to_owned(), failures }
}

const LOST: &str = "could not go on for now: reading: the line is cut";
