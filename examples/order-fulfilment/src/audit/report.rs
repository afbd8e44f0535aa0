//! What the audit found.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Failure;

/// How many examples of one broken invariant are kept.
const EXAMPLES: usize = 3;

/// What the audit found.
#[derive(Debug, Default, Serialize)]
pub struct Audit {
    /// How many events the log holds.
    pub events: u64,
    /// How many orders ended in which status.
    pub orders: BTreeMap<String, u64>,
    /// Each invariant, in the order in which it was checked.
    pub invariants: Vec<Invariant>,
}

/// One invariant and whether it holds.
#[derive(Debug, Serialize)]
pub struct Invariant {
    /// What must hold.
    pub name: &'static str,
    /// How many things were looked at.
    pub checked: u64,
    /// How many of them break it.
    pub broken: u64,
    /// The first few that do.
    pub examples: Vec<String>,
}

impl Audit {
    /// Checks `name` for each thing; the check says what is wrong with it, if something is.
    pub fn check<T>(
        &mut self,
        name: &'static str,
        things: impl IntoIterator<Item = T>,
        check: impl Fn(&T) -> Option<String>,
    ) {
        let mut invariant = Invariant { name, checked: 0, broken: 0, examples: Vec::new() };
        for thing in things {
            invariant.checked += 1;
            if let Some(problem) = check(&thing) {
                invariant.broken += 1;
                if invariant.examples.len() < EXAMPLES {
                    invariant.examples.push(problem);
                }
            }
        }
        self.invariants.push(invariant);
    }

    /// Prints the audit for people, or as one JSON object.
    ///
    /// # Errors
    /// If it can't be written as JSON.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("{:<12}{:>10}", "events", self.events);
        for (status, count) in &self.orders {
            println!("{status:<12}{count:>10}");
        }
        self.print_invariants();
        Ok(())
    }

    /// Prints a line per invariant, and what breaks it.
    pub fn print_invariants(&self) {
        for invariant in &self.invariants {
            let mark = if invariant.broken == 0 { "holds " } else { "BROKEN" };
            println!("{mark}  {} ({} checked)", invariant.name, invariant.checked);
            for example in &invariant.examples {
                println!("          {example}");
            }
        }
    }

    /// Fails if an invariant is broken.
    ///
    /// # Errors
    /// Names the broken ones.
    pub fn verdict(&self) -> Result<(), Failure> {
        let broken: Vec<_> = self
            .invariants
            .iter()
            .filter(|invariant| invariant.broken > 0)
            .map(|invariant| invariant.name)
            .collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(format!("broken: {}", broken.join("; ")).into())
    }
}
