//! For tests of sagas, your own among them: every fault at every step, in one call.
//!
//! [`fault_suite`] starts one saga in a fresh [`FaultWorld`] again and again. Each time another
//! thing goes wrong: a step says no, a call hangs, the store fails or loses an answer, the process
//! dies before or behind an append or a call, the saga is cancelled while it is down. Afterwards
//! the saga must be completed, compensated in reverse order, or paused with a reason, and the world
//! must look like it.

mod fault;
mod fault_store;
mod fault_suite;

pub use fault_suite::{FaultReport, FaultWorld, WorldCheck, fault_suite};

#[cfg(test)]
pub(crate) use fault_suite::fault_suite_of;
