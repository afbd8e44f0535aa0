//! A bare Debian machine, root, that reaches package registries and no container registry, as continuous integration
//! gives it: installing an engine and what image building needs.
//!
//! Everywhere else a person decides what is installed, and the failure says what is missing.

use std::process::Command;

use crate::step::{Outcome, is_installed, output_of, run_quietly};

/// Whether this is such a machine, where we may install packages.
pub(crate) fn is_this_machine() -> bool {
    let is_root = output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    is_root && is_installed("apt-get") && is_installed("dpkg")
}

/// Makes sure that `dockerd` and what it calls are here.
pub(crate) fn install_engine() -> Outcome {
    install_missing(&[("dockerd", "docker.io"), ("iptables", "iptables")])
}

/// Makes sure that an image can be made from packages.
pub(crate) fn install_image_tools() -> Outcome {
    install_missing(&[
        ("mmdebstrap", "mmdebstrap"),
        ("mvn", "maven"),
        ("java", "default-jre-headless"),
    ])
}

/// The name of the Debian release, `bookworm` say.
pub(crate) fn release() -> Outcome<String> {
    let script = ". /etc/os-release && echo \"$VERSION_CODENAME\"";
    let name = output_of(Command::new("sh").args(["-c", script]))?;
    Ok(name.trim().to_owned())
}

/// `(program, package)`: a program that is there already, from wherever, stays as it is.
fn install_missing(wanted: &[(&str, &str)]) -> Outcome {
    let packages: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| !is_installed(program))
        .map(|(_, package)| *package)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    println!("   installing {}", packages.join(", "));
    run_quietly(Command::new("apt-get").arg("update"))?;
    run_quietly(
        Command::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
}
