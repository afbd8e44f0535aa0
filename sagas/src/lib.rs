//! Sagas: long flows of steps, each of which is undone when a later one fails.
//!
//! This crate owns the definition of a saga ([`Saga`]), the component that hosts its instances
//! ([`SagaManager`]), and what people need to help a stuck one on ([`SagaControl`]). It knows no
//! database: an instance is a stream `saga.<name>-<key>` in the log, each transition an event in
//! it, so it runs on every [`EventStore`](highwater_core::EventStore).
//!
//! ```text
//!            ┌── started ──▶ step 1 ──▶ step 2 ──▶ pivot ──▶ step 4 ──▶ completed
//!  event ────┤                 │          │          │          │
//!            │                 ▼          ▼          ▼          └─▶ only ever retried, or paused
//!            └─ compensated ◀─ undo 1 ◀─ undo 2 ◀─ failed, cancelled, deadline missed
//! ```
//!
//! Left out: parallel branches, and sagas that start others.

mod driver;
mod error;
mod inbox;
mod instance;
mod late_call;
mod probe;
mod recorder;
mod retry_policy;
mod saga;
mod saga_control;
mod saga_event;
mod saga_manager;
mod saga_status;
mod step;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod timers;

pub use error::{InvalidSaga, SagaControlError};
pub use retry_policy::RetryPolicy;
pub use saga::{
    AtStep, BeforePivot, BehindCompensation, BehindPivot, BehindStep, Opened, Saga, SagaBuilder,
    SagaState, Startable, TakesSteps,
};
pub use saga_control::SagaControl;
pub use saga_event::StepEffect;
pub use saga_manager::SagaManager;
pub use saga_status::{SagaPhase, SagaStatus, StepPhase, StepStatus};
pub use step::{CompensationOutcome, StepContext, StepOutcome};
