//! `cargo xtask deny`: licences, duplicates and sources of dependencies by `deny.toml`.
//!
//! Advisories are left out: their database lives on a host that not every machine reaches.

use std::path::PathBuf;

use crate::step::{Outcome, is_installed, run, run_quietly};
use crate::workspace::{cargo, source_root, tool_folder};

/// Fails on a licence, crate or source that `deny.toml` does not allow.
pub(crate) fn check() -> Outcome {
    let mut command = std::process::Command::new(cargo_deny()?);
    run(command
        .args(["--workspace", "--all-features", "check", "licenses", "bans", "sources"])
        .current_dir(source_root()))
}

fn cargo_deny() -> Outcome<PathBuf> {
    if is_installed("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let tools = tool_folder()?;
    let program = tools.join("bin").join("cargo-deny");
    if !program.is_file() {
        println!("   cargo-deny is missing: building it once into {}", tools.display());
        let mut install = cargo(&["install", "cargo-deny", "--locked", "--root"]);
        run_quietly(install.arg(&tools))?;
    }
    Ok(program)
}
