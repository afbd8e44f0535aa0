//! Rounds in which both sides alternate, and the line that comes of them.

use std::future::Future;

use serde::Serialize;

use crate::sample::Sample;

/// One result, printed as one JSON object on a line.
#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    case: &'a str,
    value: f64,
    unit: &'a str,
    baseline: f64,
    ratio: f64,
    rounds: usize,
    #[serde(flatten)]
    latencies: Option<Latencies>,
}

/// Of one repetition of the work, in milliseconds.
#[derive(Serialize)]
struct Latencies {
    p50_ms: f64,
    p99_ms: f64,
    baseline_p50_ms: f64,
    baseline_p99_ms: f64,
}

/// Measures both sides in turn, `rounds` times, and prints the medians.
pub async fn compare<A, B>(
    bench: &str,
    case: &str,
    unit: &str,
    rounds: usize,
    ours: impl Fn() -> A,
    baseline: impl Fn() -> B,
) where
    A: Future<Output = Sample>,
    B: Future<Output = Sample>,
{
    let mut pairs = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        eprintln!("{bench} / {case}: round {round} of {rounds}");
        // Whoever goes second finds warmer caches and a longer log: take turns.
        let pair = if round % 2 == 1 {
            let baseline = baseline().await;
            (ours().await, baseline)
        } else {
            let ours = ours().await;
            (ours, baseline().await)
        };
        pairs.push(pair);
    }
    let of = |figure: &dyn Fn(&(Sample, Sample)) -> f64| median(pairs.iter().map(figure).collect());
    print(&Line {
        bench,
        case,
        value: of(&|(ours, _)| ours.per_second()),
        unit,
        baseline: of(&|(_, baseline)| baseline.per_second()),
        ratio: of(&|(ours, baseline)| ours.per_second() / baseline.per_second()),
        rounds,
        latencies: Some(Latencies {
            p50_ms: of(&|(ours, _)| ours.latency_ms(50.0)),
            p99_ms: of(&|(ours, _)| ours.latency_ms(99.0)),
            baseline_p50_ms: of(&|(_, baseline)| baseline.latency_ms(50.0)),
            baseline_p99_ms: of(&|(_, baseline)| baseline.latency_ms(99.0)),
        }),
    });
}

/// Prints a value that is measured once, beside the bound that it should stay below.
pub fn bounded(bench: &str, case: &str, unit: &str, value: f64, bound: f64) {
    let ratio = value / bound;
    print(&Line { bench, case, value, unit, baseline: bound, ratio, rounds: 1, latencies: None });
}

fn print(line: &Line<'_>) {
    println!("{}", serde_json::to_string(line).expect("numbers can be written"));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}
