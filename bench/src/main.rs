//! `highwater-bench`: one subcommand per benchmark, both sides alternating in one run.
//!
//! Every result is one JSON object a line; progress goes to standard error. A `ratio` is the
//! median over rounds of Highwater's value by the baseline's, so a machine whose speed drifts
//! moves both sides.

// A program has no outside: `pub` says that other modules use it.
#![allow(unreachable_pub)]

mod account;
mod append;
mod append_crew;
mod contend;
mod dcb;
mod deposit;
mod layers;
mod load;
mod memory;
mod raw_log;
mod replay;
mod report;
mod sample;
mod seed;
mod subscription;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use highwater_tests::services;

use crate::append::AppendSettings;

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
    /// Appends of one event, against one INSERT per transaction and against batches by hand.
    Append(AppendSettings),
    /// Loads of an aggregate of 100 events, against the same query by hand.
    Load,
    /// Commands on aggregates of 100 events, against load, decide and INSERT by hand.
    Deposit,
    /// 32 tasks that command one aggregate, against load, decide, INSERT and retry by hand.
    Contend,
    /// The whole log into typed events, against COPY BINARY or keyset pages by hand.
    Replay,
    /// Conditional appends, against plain ones and against tag locks by hand.
    Dcb,
    /// Growth of the process over minutes of appends and a replay; `baseline` is the bound.
    Memory,
    /// Appends and reads through a tenant's store, against the log itself.
    Tenancy,
    /// Appends and reads of personal data, against the same in plain text.
    Sealing,
    /// One process of `append --processes`.
    #[command(name = append_crew::MEMBER, hide = true)]
    AppendMember {
        /// Callers that append at the same time.
        #[arg(long)]
        writers: usize,
    },
}

/// How long to measure.
#[derive(Args, Clone, Copy)]
struct Effort {
    /// Ends within 30 seconds: fewer and shorter rounds, shorter logs, wider error.
    #[arg(long, global = true)]
    quick: bool,
    /// How many rounds; in each, both sides are measured once.
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// How long one side runs in one round, in seconds.
    #[arg(long, global = true)]
    seconds: Option<f64>,
    /// How many events the log holds, where that matters (replay, dcb, memory).
    #[arg(long, global = true)]
    events: Option<u64>,
}

impl Effort {
    fn rounds(self) -> usize {
        self.rounds.unwrap_or_else(|| self.pick(3, 5)).max(1)
    }

    fn round_length(self) -> Duration {
        self.length(1.0, 5.0)
    }

    fn length(self, quick_seconds: f64, full_seconds: f64) -> Duration {
        let usual = self.pick(quick_seconds, full_seconds);
        Duration::from_secs_f64(self.seconds.unwrap_or(usual))
    }

    fn events(self, quick: u64, full: u64) -> u64 {
        self.events.unwrap_or_else(|| self.pick(quick, full))
    }

    fn pick<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

#[tokio::main]
async fn main() {
    let Settings { benchmark, effort } = Settings::parse();
    if let Benchmark::AppendMember { writers } = benchmark {
        return append_crew::serve(writers).await;
    }
    let server = services::postgres().await;
    match benchmark {
        Benchmark::Append(settings) => append::run(server, effort, &settings).await,
        Benchmark::Load => load::run(server, effort).await,
        Benchmark::Deposit => deposit::run(server, effort).await,
        Benchmark::Contend => contend::run(server, effort).await,
        Benchmark::Replay => replay::run(server, effort).await,
        Benchmark::Dcb => dcb::run(server, effort).await,
        Benchmark::Memory => memory::run(server, effort).await,
        Benchmark::Tenancy => layers::tenancy(server, effort).await,
        Benchmark::Sealing => layers::sealing(server, effort).await,
        Benchmark::AppendMember { .. } => unreachable!("served above, without a server"),
    }
}
