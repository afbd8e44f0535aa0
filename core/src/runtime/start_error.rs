//! Why an application could not be started.

/// Why an application could not be started. Nothing was: no component has run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two components have one name: they would share health, progress and, where they keep one,
    /// their checkpoint.
    #[error("two components are named {0:?}: give one of them another name")]
    NameTwice(String),
    /// There is no tokio runtime to run the components on.
    #[error("there is no tokio runtime here: start the application within one")]
    NoRuntime,
}

impl StartError {
    /// Never: it is the program that has to change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}
