//! Placeholder
/// x
pub struct InProcessConsumer;
