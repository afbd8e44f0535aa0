//! `highwater-bench`: one subcommand per benchmark, both sides alternating in one run.
//!
//! Every result is one JSON object a line; progress goes to standard error. A `ratio` is the
//! median over rounds of Highwater's value by the baseline's, so a machine whose speed drifts
//! moves both sides.

// A program has no outside: `pub` says that other modules use it.
#![allow(unreachable_pub)]

mod append;
mod raw_log;
mod report;
mod sample;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use highwater_tests::services;

/// Benchmarks of Highwater against hand-written code on the same services.
#[derive(Parser)]
#[command(name = "highwater-bench", version)]
struct Settings {
    #[command(subcommand)]
    benchmark: Benchmark,
    #[command(flatten)]
    effort: Effort,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Appends of one event, against one INSERT per transaction on the same Postgres.
    Append,
}

/// How long to measure.
#[derive(Args, Clone, Copy)]
struct Effort {
    /// Ends within 30 seconds: fewer and shorter rounds, wider error.
    #[arg(long, global = true)]
    quick: bool,
    /// How many rounds; in each, both sides are measured once.
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// How long one side runs in one round, in seconds.
    #[arg(long, global = true)]
    seconds: Option<f64>,
}

impl Effort {
    fn rounds(self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    fn round_length(self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 1.0 } else { 5.0 }))
    }
}

#[tokio::main]
async fn main() {
    let settings = Settings::parse();
    match settings.benchmark {
        Benchmark::Append => {
            let server = services::postgres().await;
            append::run(server, settings.effort).await;
        }
    }
}
