//! The task `schema`: the shapes of all events, compared with those that are locked.

use highwater::schema::{Compatibility, EventSchemas, SchemaLockError, SchemaLockFile};
use order_domain::DomainEvent;
use serde_json::json;

use crate::Failure;
use crate::settings::{CompatibilityLevel, SchemaAction, SchemaSettings};

/// Checks or locks.
pub fn run(settings: &SchemaSettings) -> Result<(), Failure> {
    let schemas = EventSchemas::of::<DomainEvent>();
    let file = SchemaLockFile::at(&settings.file);
    let compatibility = match settings.compatibility {
        CompatibilityLevel::Backward => Compatibility::Backward,
        CompatibilityLevel::Forward => Compatibility::Forward,
        CompatibilityLevel::Full => Compatibility::Full,
    };
    let outcome = match settings.action {
        SchemaAction::Check => file.check(&schemas, compatibility).map(|()| None),
        SchemaAction::Lock => file.lock(&schemas, compatibility).map(Some),
    };
    let report = match &outcome {
        Ok(report) => report.as_ref(),
        Err(error) => error.report(),
    };
    if settings.json {
        let changes = report.map(|report| report.changes.as_slice()).unwrap_or_default();
        let is_broken = matches!(outcome, Err(SchemaLockError::Breaks { .. }));
        let told = json!({ "ok": outcome.is_ok(), "breaks": is_broken, "changes": changes });
        println!("{told:#}");
    } else if outcome.is_ok() {
        print!("{}", report.map(ToString::to_string).unwrap_or_default());
        println!(
            "{} event types are as {} has them",
            schemas.iter().len(),
            settings.file.display()
        );
    }
    outcome?;
    Ok(())
}
