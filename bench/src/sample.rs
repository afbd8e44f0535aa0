//! One measurement: many tasks doing the same thing for a while, or one thing done to its end.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one side did in one round.
pub struct Sample {
    done: u64,
    elapsed: Duration,
    latencies: Histogram<u32>,
}

/// A sample on its way from one process to another.
#[derive(Serialize, Deserialize)]
pub struct PortableSample {
    done: u64,
    elapsed: Duration,
    /// Microseconds, and how often they were measured.
    latencies: Vec<(u64, u64)>,
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
        let ended = join_all(running).await;
        let elapsed = started.elapsed();
        for task in ended {
            latencies.add(task.expect("the measured work succeeds")).expect("same bounds");
        }
        Self { done: latencies.len(), elapsed, latencies }
    }

    /// Does `work` to its end, once, on a task of its own; it says how many things it has done.
    ///
    /// # Panics
    /// As [`Sample::take`].
    pub async fn once(work: impl Future<Output = u64> + Send + 'static) -> Self {
        let started = Instant::now();
        let done = tokio::spawn(work).await.expect("the measured work succeeds");
        let elapsed = started.elapsed();
        let mut latencies = histogram();
        latencies.saturating_record(elapsed.as_micros() as u64);
        Self { done, elapsed, latencies }
    }

    /// Counts `things` for each repetition.
    pub fn with_things_each(mut self, things: u64) -> Self {
        self.done *= things;
        self
    }

    /// What several processes did at the same time.
    pub fn together(samples: impl IntoIterator<Item = PortableSample>) -> Self {
        let (mut done, mut elapsed, mut latencies) = (0, Duration::ZERO, histogram());
        for sample in samples {
            done += sample.done;
            elapsed = elapsed.max(sample.elapsed);
            for (micros, count) in sample.latencies {
                latencies.saturating_record_n(micros, u32::try_from(count).unwrap_or(u32::MAX));
            }
        }
        Self { done, elapsed, latencies }
    }

    /// The sample as it travels.
    pub fn portable(&self) -> PortableSample {
        let recorded = self.latencies.iter_recorded();
        PortableSample {
            done: self.done,
            elapsed: self.elapsed,
            latencies: recorded
                .map(|step| (step.value_iterated_to(), step.count_since_last_iteration()))
                .collect(),
        }
    }

    /// Things done per second, over all tasks.
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency below which `percent` of the repetitions stayed, in milliseconds.
    pub fn latency_ms(&self, percent: f64) -> f64 {
        self.latencies.value_at_percentile(percent) as f64 / 1_000.0
    }
}

async fn repeat<F, W>(task: usize, started: Instant, length: Duration, work: W) -> Histogram<u32>
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

/// Microseconds, to two digits, up to ten minutes; what is slower counts as ten minutes. Small, because
/// each of a thousand tasks has one: with three digits they pushed what is measured out of the
/// processor's caches, which cost a crowd some ten percent of its throughput.
fn histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, 600_000_000, 2).expect("the bounds are in order")
}
