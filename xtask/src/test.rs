//! `cargo xtask test`: every check a change must pass, in the order in which a mistake shows soonest.
//!
//! What each step checks lives in its module or in the tests themselves; this file is the table of contents.

use crate::step::{Outcome, run, run_quietly, step};
use crate::workspace::{Workspace, cargo};
use crate::{book, services, tidy};

/// Everything, on real services.
pub(crate) fn everything() -> Outcome {
    let workspace = Workspace::load()?;
    style()?;
    let mut machine = step("machine for services", services::prepare)?;
    step("lints (clippy, warnings denied)", lints)?;
    step("API documentation (warnings denied)", documentation)?;
    step("build the tests", build_tests)?;
    let held = step("start services", || services::hold(&workspace, &machine))?;
    let tested = step("tests", || {
        run(cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"])
            .envs(held.environment())
            // Behind each failure's message fifty lines of the runtime would follow.
            .env("RUST_BACKTRACE", "0"))
    });
    step("stop services", || {
        held.release();
        machine.stop_engine();
        Ok(())
    })?;
    tested?;
    step("book", book::build)?;
    println!("\nAll checks passed.");
    Ok(())
}

/// What needs no service and little time.
pub(crate) fn quick() -> Outcome {
    style()?;
    step("lints (clippy, warnings denied)", lints)?;
    step("unit tests", || {
        run(&mut cargo(&["test", "--workspace", "--all-features", "--lib", "--bins"]))
    })?;
    println!("\nThe quick checks passed; cargo xtask test runs all of them.");
    Ok(())
}

fn style() -> Outcome {
    step("house rules", tidy::check)?;
    step("formatting", || run_quietly(&mut cargo(&["fmt", "--all", "--", "--check"])))
}

fn lints() -> Outcome {
    run_quietly(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-features",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Outcome {
    let mut command = cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    run_quietly(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn build_tests() -> Outcome {
    run_quietly(&mut cargo(&["test", "--workspace", "--all-features", "--no-run"]))
}
