//! Conformance suites: what every adapter must do, as functions over a factory.
//!
//! A suite is one module, a chapter is one module in it, a promise is one function. An adapter
//! enrols in one line, and each promise becomes a test of its own under the adapter's name.
//!
//! Left out: how an adapter does it. What only one adapter promises is tested beside its code.

// A promise that isn't kept panics; that is the failure of the test that called it.
#![allow(clippy::unwrap_used)]

pub mod bus;
pub mod inbox;
pub mod log;
pub mod personal_data;
pub mod read_model;
pub mod retention;
pub mod schemas;
pub mod snapshots;
pub mod tenancy;
