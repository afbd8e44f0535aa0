//! One measurement: many tasks doing the same thing for a while.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;

/// What one side did in one round.
pub struct Sample {
    done: u64,
    elapsed: Duration,
    latencies: Histogram<u64>,
}

impl Sample {
    /// Lets `tasks` tasks repeat `work` for `length`; `work` gets the task's number.
    ///
    /// # Panics
    /// If a task does: a benchmark whose work fails has measured nothing.
    pub async fn take<F, W>(tasks: usize, length: Duration, work: W) -> Self
    where
        W: Fn(usize) -> F,
        F: Future<Output = ()> + Send + 'static,
        W: Clone + Send + 'static,
    {
        let started = Instant::now();
        let running =
            (0..tasks).map(|task| tokio::spawn(repeat(task, started, length, work.clone())));
        let mut latencies = histogram();
        for ended in join_all(running).await {
            latencies.add(ended.expect("the measured work succeeds")).expect("same bounds");
        }
        Self { done: latencies.len(), elapsed: started.elapsed(), latencies }
    }

    /// Repetitions per second, over all tasks.
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency below which `percent` of the repetitions stayed, in milliseconds.
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latencies.value_at_percentile(percent) as f64 / 1_000.0
    }
}

async fn repeat<F, W>(task: usize, started: Instant, length: Duration, work: W) -> Histogram<u64>
where
    W: Fn(usize) -> F,
    F: Future<Output = ()>,
{
    let mut latencies = histogram();
    while started.elapsed() < length {
        let begun = Instant::now();
        work(task).await;
        latencies.saturating_record(begun.elapsed().as_micros() as u64);
    }
    latencies
}

/// Microseconds, to three digits, up to a minute; what is slower counts as a minute.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}
