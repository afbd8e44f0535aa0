//! `cargo xtask`: the commands that check the whole house, the same for a person and for continuous integration.
//!
//! This file is the command line only; each command is a module. Nothing here is needed to use Highwater.

mod bare_debian;
mod book;
mod deny;
mod docker_engine;
mod images;
mod services;
mod step;
mod test;
mod test_services;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::step::Outcome;

#[derive(Parser)]
#[command(about = "Highwater's own commands", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check and test everything, on real services. This is what a change must pass.
    Test {
        /// House rules, formatting, lints and unit tests only: no services, no book.
        #[arg(long)]
        quick: bool,
    },
    /// The real PostgreSQL, Redis and Kafka that tests use, for work by hand.
    #[command(subcommand)]
    Services(Services),
    /// The house rules only: file heads, sizes and names, and which way dependencies run.
    Tidy,
    /// Build the guide. Installs mdBook once, into the user's cache, if it is missing.
    Book,
    /// Licences, duplicate versions and sources of dependencies. Installs cargo-deny once, which takes minutes; so it
    /// is no part of `test`.
    Deny,
}

#[derive(Subcommand)]
enum Services {
    /// Start them and leave them running.
    Up,
    /// Stop what `up` started, containers and data included.
    Down,
    /// Print `export` lines for the running services: eval "$(cargo xtask services env)"
    Env,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Outcome {
    match task {
        Task::Test { quick: true } => test::quick(),
        Task::Test { quick: false } => test::everything(),
        Task::Services(Services::Up) => services::up(),
        Task::Services(Services::Down) => services::down(),
        Task::Services(Services::Env) => services::print_environment(),
        Task::Tidy => step::step("house rules", tidy::check),
        Task::Book => step::step("book", book::build),
        Task::Deny => step::step("dependencies", deny::check),
    }
}
