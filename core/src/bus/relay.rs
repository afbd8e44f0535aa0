//! Placeholder
pub struct Relay;
