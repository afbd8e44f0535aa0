//! Building the guide with mdBook. That its code compiles is checked by the `book` package's tests, not here.

use std::path::PathBuf;
use std::process::Command;

use crate::step::{Outcome, is_installed, run_quietly};
use crate::workspace::{cargo, source_root, tool_folder};

/// Builds the guide into `book/book`; a broken summary or preprocessor fails.
pub(crate) fn build() -> Outcome {
    let book = source_root().join("book");
    if !book.join("book.toml").is_file() {
        println!("   no book/book.toml: nothing to build");
        return Ok(());
    }
    run_quietly(Command::new(mdbook()?).arg("build").arg(book))
}

/// The installed mdBook, or one built once into the user's cache: two minutes that a second run saves.
fn mdbook() -> Outcome<PathBuf> {
    if is_installed("mdbook") {
        return Ok("mdbook".into());
    }
    let tools = tool_folder()?;
    let program = tools.join("bin").join("mdbook");
    if !program.is_file() {
        println!("   mdBook is missing: building it once into {}", tools.display());
        // Without its web server and file watcher: half the build.
        let mut install = cargo(&["install", "mdbook", "--locked", "--no-default-features"]);
        run_quietly(install.args(["--features", "search", "--root"]).arg(&tools))?;
    }
    Ok(program)
}
