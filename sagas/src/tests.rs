//! The sagas of a small shop on the memory store.

mod faults;
mod flow;
mod rivals;
mod shop;
