//! The runtime: one place that hosts, supervises and stops everything that runs.

mod component;
mod health;
mod highwater;
mod progress;
mod standby;
mod start_error;
mod supervisor;
#[cfg(test)]
mod tests;

pub use component::{Component, ComponentContext, ComponentError};
pub use health::{ComponentHealth, Health};
pub use highwater::{Highwater, HighwaterBuilder};
pub use progress::{CaughtUpError, Progress};
pub use standby::Standby;
pub use start_error::StartError;
