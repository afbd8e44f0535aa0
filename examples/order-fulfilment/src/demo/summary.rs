//! What the demo tells at its end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::load::LoadReport;
use crate::Failure;
use crate::audit::Audit;

/// The demo in numbers.
#[derive(Serialize)]
pub struct Summary<'a> {
    acknowledged: u64,
    outcomes: &'a BTreeMap<String, u64>,
    events: u64,
    orders_per_second: f64,
    events_per_second: f64,
    settled_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    audit: &'a Audit,
}

impl<'a> Summary<'a> {
    /// Puts together what load and audit saw; `settled` is from the first order to the last event.
    pub fn new(load: &LoadReport, settled: Duration, audit: &'a Audit) -> Self {
        let latency = |percentile| load.latencies.value_at_quantile(percentile) as f64 / 1_000.0;
        Self {
            acknowledged: load.acknowledged,
            outcomes: &audit.orders,
            events: audit.events,
            orders_per_second: load.acknowledged as f64 / load.elapsed.as_secs_f64(),
            events_per_second: audit.events as f64 / settled.as_secs_f64(),
            settled_s: settled.as_secs_f64(),
            p50_ms: latency(0.50),
            p95_ms: latency(0.95),
            p99_ms: latency(0.99),
            max_ms: load.latencies.max() as f64 / 1_000.0,
            audit,
        }
    }

    /// Prints the summary for people, or as one JSON object.
    ///
    /// # Errors
    /// If it can't be written as JSON.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!();
        println!("orders acknowledged  {:>10}", self.acknowledged);
        for (outcome, count) in self.outcomes {
            println!("  {outcome:<18} {count:>10}");
        }
        println!("orders placed        {:>10.0} a second", self.orders_per_second);
        println!("events               {:>10}", self.events);
        println!("events written       {:>10.0} a second", self.events_per_second);
        println!("all settled after    {:>10.1} s", self.settled_s);
        println!(
            "time to place        {:>10.1} ms median, {:.1} ms p95, {:.1} ms p99, {:.1} ms at most",
            self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms
        );
        println!();
        self.audit.print_invariants();
        Ok(())
    }
}
