//! What can go wrong between a test and a real service, each time with the command that helps.
//!
//! Failures of the code under test are not here: a service that answered and said "no" is the test's business.

use std::time::Duration;

/// Why a real service could not be had or brought into the state a test asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No container of the service could be started.
    #[error(
        "{service} is not running and could not be started from image `{image}`: {reason}\n  \
         to prepare this machine and run everything: cargo xtask test\n  \
         to keep the services up for manual work:    cargo xtask services up\n  \
         to use a server of your own:                set {url_variable}"
    )]
    Start {
        /// The service's name, as a person says it.
        service: &'static str,
        /// The image that was asked for.
        image: String,
        /// The environment variable that gives its address instead.
        url_variable: &'static str,
        /// What the container engine said.
        reason: String,
    },
    /// It runs, or is said to run, and does not answer.
    #[error(
        "{service} at {address} did not answer within {waited:?}: {reason}\n  \
         to start the services: cargo xtask services up"
    )]
    NotReady {
        /// The service's name.
        service: &'static str,
        /// Host and port, never the credentials.
        address: String,
        /// How long it was asked.
        waited: Duration,
        /// What the last attempt met.
        reason: String,
    },
    /// The container engine refused to pause, kill, stop or start an own instance.
    #[error("could not {action} the {service} container: {reason}")]
    Lifecycle {
        /// The service's name.
        service: &'static str,
        /// What was being done.
        action: &'static str,
        /// What the container engine said.
        reason: String,
    },
    /// A database, topic or the like could not be made for the test.
    #[error("could not {action}: {reason}")]
    Setup {
        /// What was being done, and to what.
        action: String,
        /// What the service said.
        reason: String,
    },
}

/// An error with what caused it, on one line: drivers say "error connecting to server" and keep the reason below.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
