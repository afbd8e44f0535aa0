//! The house rules that a program can see: file heads, sizes, names, and which way dependencies run.
//!
//! Taste that needs a reader is not here. A rule that is in the way of something good is changed here, with its reason,
//! not worked around.

mod dependencies;
mod sources;

use crate::step::{Failure, Outcome};
use crate::workspace::Workspace;

/// Fails with every breach of every rule.
pub(crate) fn check() -> Outcome {
    let workspace = Workspace::load()?;
    let mut breaches = sources::breaches(&workspace.root)?;
    breaches.extend(dependencies::breaches(&workspace)?);
    if breaches.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} breaches of the house rules:\n  {}",
        breaches.len(),
        breaches.join("\n  ")
    )))
}
