//! Rules about which package may know which.
//!
//! ```text
//! macros ← core ← { store-postgres, store-sqlite, bus-kafka, projections, sagas } ← highwater ← everything else
//! ```
//!
//! Dev-dependencies are free: an adapter's tests may use the shared suites.

use crate::step::{Outcome, output_of};
use crate::workspace::{Package, Workspace, cargo};

/// A package whose users want it without a runtime.
const RUNTIME_FREE: &str = "order-domain";

/// The storeys of the house, from the ground up. A package knows only storeys below its own, so two of the same storey
/// never know each other.
const STOREYS: [&[&str]; 4] = [
    &["highwater-macros"],
    &["highwater-core"],
    &[
        "highwater-store-postgres",
        "highwater-store-sqlite",
        "highwater-bus-kafka",
        "highwater-projections",
        "highwater-sagas",
    ],
    &["highwater"],
];

/// The breaches between all packages of the workspace.
pub(super) fn breaches(workspace: &Workspace) -> Outcome<Vec<String>> {
    let mut found: Vec<String> = workspace.packages.iter().flat_map(upward).collect();
    found.extend(workspace.packages.iter().flat_map(around_the_facade));
    if workspace.packages.iter().any(|package| package.name == RUNTIME_FREE) {
        found.extend(runtime_in_domain()?);
    }
    Ok(found)
}

/// The storey of a package; what uses the house stands above all of it.
fn storey(name: &str) -> usize {
    STOREYS.iter().position(|storey| storey.contains(&name)).unwrap_or(STOREYS.len())
}

fn upward(package: &Package) -> Vec<String> {
    let own = storey(&package.name);
    let is_above_the_house = own == STOREYS.len();
    let ours = |name: &str| name == "highwater" || name.starts_with("highwater-");
    package
        .dependencies
        .iter()
        .filter(|name| !is_above_the_house && ours(name) && storey(name) >= own)
        .map(|name| format!("{} must not depend on {name}: dependencies run down", package.name))
        .collect()
}

/// An example shows what a user writes, and a user has the facade only.
fn around_the_facade(package: &Package) -> Vec<String> {
    let is_example = package.folder.iter().any(|part| part == "examples");
    package
        .dependencies
        .iter()
        .filter(|name| is_example && name.starts_with("highwater-"))
        .map(|name| format!("example {} uses {name}: use `highwater`", package.name))
        .collect()
}

/// A domain crate stays free of tokio, through all that it depends on.
fn runtime_in_domain() -> Outcome<Option<String>> {
    let arguments = ["tree", "--package", RUNTIME_FREE, "--edges", "normal", "--prefix", "none"];
    let tree = output_of(&mut cargo(&arguments))?;
    let has_tokio = tree.lines().any(|line| line.starts_with("tokio "));
    Ok(has_tokio.then(|| format!("{RUNTIME_FREE} pulls in tokio: a domain crate needs no runtime")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, dependency: &str) -> Package {
        Package {
            name: name.to_owned(),
            folder: folder.into(),
            dependencies: vec![dependency.to_owned(), "serde".to_owned()],
        }
    }

    #[test]
    fn a_package_knows_only_what_lies_below_it() {
        let allowed = [
            ("highwater-core", "highwater-macros"),
            ("highwater-sagas", "highwater-core"),
            ("highwater", "highwater-sagas"),
            ("highwater-tests", "highwater"),
        ];
        for (name, dependency) in allowed {
            assert!(upward(&package(name, "", dependency)).is_empty(), "{name} → {dependency}");
        }
        let forbidden = [
            ("highwater-core", "highwater-sagas"),
            ("highwater-sagas", "highwater-projections"),
            ("highwater-bus-kafka", "highwater"),
            ("highwater-core", "highwater-tests"),
        ];
        for (name, dependency) in forbidden {
            assert_eq!(upward(&package(name, "", dependency)).len(), 1, "{name} → {dependency}");
        }
    }

    #[test]
    fn an_example_uses_the_facade() {
        let around = package("order-fulfilment", "/r/examples/o", "highwater-core");
        assert_eq!(around_the_facade(&around).len(), 1);
        let through = package("order-fulfilment", "/r/examples/o", "highwater");
        assert!(around_the_facade(&through).is_empty());
    }
}
