//! The audit: folds the whole log and holds everything else against it.
//!
//! It trusts nothing but the log: not the read models, not the aggregates that wrote it. It is
//! meant for a log that nobody writes to while it runs.

mod books;
mod read_models;
mod report;

use highwater::{EventStore, GlobalPosition, SealedLog, Selection};

use crate::Failure;
use crate::settings::StackSettings;
use crate::stack::Stack;
use books::Books;
pub use report::Audit;

/// How many events are read at a time.
const PAGE: usize = 5_000;

/// True if an order in this status has ended.
pub fn is_final(status: &str) -> bool {
    matches!(status, "shipped" | "cancelled")
}

/// Audits, prints, and fails if an invariant is broken.
///
/// # Errors
/// If the stack can't be reached, or an invariant is broken.
pub async fn run(settings: &StackSettings, json: bool) -> Result<(), Failure> {
    let audit = audit(settings).await?;
    audit.print(json)?;
    audit.verdict()
}

/// Folds the log and holds the read models against it.
///
/// # Errors
/// If the stack can't be reached, or the log can't be understood.
pub async fn audit(settings: &StackSettings) -> Result<Audit, Failure> {
    let stack = Stack::connect(settings).await?;
    stack.read.prepare_notifications().await?;
    let log = SealedLog::new(stack.store.clone(), stack.vault.clone());
    let mut books = Books::default();
    let mut after = GlobalPosition::START;
    loop {
        let page = log.read_all(&Selection::All, after, PAGE).await?;
        for event in &page.events {
            books.enter(event)?;
        }
        after = page.read_to;
        if page.is_last {
            break;
        }
    }
    let mut audit = books.close();
    read_models::compare(&books, &stack, &mut audit).await?;
    stack.store.close().await;
    Ok(audit)
}
