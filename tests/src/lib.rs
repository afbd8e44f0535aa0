//! What all of Highwater's tests stand on: real services for tests, shared suites and oracles.
//!
//! Suites live in the modules below; the integration tests in `tests/` enrol adapters in them.

pub mod conformance;
pub mod cut_proxy;
pub mod killed_writers;
pub mod naive_store;
pub mod services;
pub mod sqlite_file;
pub mod unconditional_store;
