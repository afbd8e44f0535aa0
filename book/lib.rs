//! The chapters of the book as documentation, so that every code block in them is compiled and run.

pub mod account;
pub mod course;
pub mod warehouse;

macro_rules! chapters {
    ($($name:ident: $file:literal,)*) => {
        $(#[doc = include_str!(concat!("src/", $file))]
        pub mod $name {})*
    };
}

chapters! {
    why: "why.md",
    aggregate: "aggregate.md",
    commands: "commands.md",
    event_design: "event_design.md",
    evolution: "evolution.md",
    snapshots: "snapshots.md",
    boundaries: "boundaries.md",
    log: "log.md",
    tenancy: "tenancy.md",
    read_models: "read_models.md",
    bus: "bus.md",
    sagas: "sagas.md",
    personal_data: "personal_data.md",
    retention: "retention.md",
    testing: "testing.md",
    running: "running.md",
    speed: "speed.md",
    guarantees: "guarantees.md",
}
