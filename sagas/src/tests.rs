//! The sagas of a small shop on the memory store.

mod deadline;
mod faults;
mod flow;
mod late;
mod partly;
mod refused_state;
mod rivals;
mod shop;
