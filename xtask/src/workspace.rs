//! What cargo knows about this workspace: its folders, its packages and who depends on whom.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::step::{Failure, Outcome, output_of};

/// The workspace as `cargo metadata` describes it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// Normal and build dependencies by name, optional ones included; dev-dependencies may run any way they like.
    pub(crate) dependencies: Vec<String>,
}

impl Workspace {
    pub(crate) fn load() -> Outcome<Self> {
        let json = output_of(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&json)
            .map_err(|error| Failure::new(format!("cargo metadata is not JSON: {error}")))?;
        Ok(Self {
            root: PathBuf::from(text(&metadata["workspace_root"])),
            target: PathBuf::from(text(&metadata["target_directory"])),
            packages: items(&metadata["packages"]).map(package).collect(),
        })
    }

    /// Where services and tools keep their state between commands; below the target folder, so never committed.
    pub(crate) fn state_folder(&self) -> Outcome<PathBuf> {
        let folder = self.target.join("services");
        make_folder(&folder)?;
        Ok(folder)
    }
}

/// Cargo at the workspace's root: the one that runs us, so that the pinned toolchain stays.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(source_root());
    command
}

/// The root of the checkout this program was built from.
pub(crate) fn source_root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// A folder for tools built once per user, kept across checkouts.
pub(crate) fn tool_folder() -> Outcome<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .ok_or_else(|| {
            Failure::new("neither XDG_CACHE_HOME nor HOME is set: no place for tools")
        })?;
    let folder = cache.join("highwater").join("tools");
    make_folder(&folder)?;
    Ok(folder)
}

pub(crate) fn make_folder(folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(format!("could not make {}: {error}", folder.display())))
}

fn package(json: &Value) -> Package {
    let manifest = PathBuf::from(text(&json["manifest_path"]));
    Package {
        name: text(&json["name"]).to_owned(),
        folder: manifest.parent().map(Path::to_owned).unwrap_or_default(),
        dependencies: items(&json["dependencies"])
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| text(&dependency["name"]).to_owned())
            .collect(),
    }
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_default()
}

fn items(json: &Value) -> impl Iterator<Item = &Value> {
    json.as_array().into_iter().flatten()
}
