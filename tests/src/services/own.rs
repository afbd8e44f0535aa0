//! What a fault test may do to an instance that is its own: one trait, the same five verbs for every service.
//!
//! The states: `start_again` answers to `kill` and `stop`, `unpause` to `pause`. Nothing else may use the instance
//! meanwhile, which is why these verbs do not exist on the shared services.

use super::ServiceError;
use super::container::Container;
use super::programs::LocalPostgres;

/// A real server that one test owns and may break. Dropping it removes it with its data.
///
/// The port and the data outlive every verb here: a client with the same address finds the same data.
pub trait OwnService: Sized + Send + Sync {
    /// Starts an instance and waits until it answers.
    ///
    /// # Errors
    /// [`ServiceError::Start`] without a container engine or image, [`ServiceError::NotReady`] when it never answers.
    fn start() -> impl Future<Output = Result<Self, ServiceError>> + Send;

    /// Waits until it answers as a client expects it.
    ///
    /// # Errors
    /// [`ServiceError::NotReady`].
    fn ready(&self) -> impl Future<Output = Result<(), ServiceError>> + Send;

    #[doc(hidden)]
    fn instance(&self) -> OwnInstance<'_>;

    /// Freezes it: connections stay open and nothing answers, as behind a cut wire.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn pause(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.instance().pause().await }
    }

    /// Thaws it; it goes on where it was frozen.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn unpause(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.instance().unpause().await }
    }

    /// `kill -9` to all of it; returns when it is gone.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn kill(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.instance().kill().await }
    }

    /// Shuts it down in an orderly way; returns when it is gone.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn stop(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.instance().stop().await }
    }

    /// Starts it after [`kill`](Self::kill) or [`stop`](Self::stop) and waits until it answers.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`] or [`ServiceError::NotReady`].
    fn start_again(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async {
            self.instance().start_again().await?;
            self.ready().await
        }
    }
}

/// Keeps the instance out of the tests' hands: only the verbs of [`OwnService`] reach it.
#[doc(hidden)]
pub enum OwnInstance<'a> {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    Container(&'a Container),
    #[doc(hidden)]
    #[allow(private_interfaces)]
    Programs(&'a LocalPostgres),
}

impl OwnInstance<'_> {
    async fn pause(self) -> Result<(), ServiceError> {
        match self {
            Self::Container(container) => container.pause().await,
            Self::Programs(local) => local.signal("-STOP", false),
        }
    }

    async fn unpause(self) -> Result<(), ServiceError> {
        match self {
            Self::Container(container) => container.unpause().await,
            Self::Programs(local) => local.signal("-CONT", false),
        }
    }

    async fn kill(self) -> Result<(), ServiceError> {
        match self {
            Self::Container(container) => container.kill().await,
            Self::Programs(local) => local.signal("-KILL", true),
        }
    }

    async fn stop(self) -> Result<(), ServiceError> {
        match self {
            Self::Container(container) => container.stop().await,
            Self::Programs(local) => local.stop(),
        }
    }

    async fn start_again(self) -> Result<(), ServiceError> {
        match self {
            Self::Container(container) => container.start_again().await,
            Self::Programs(local) => local.start_again(),
        }
    }
}
