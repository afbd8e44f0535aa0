//! What a fault test may do to an instance that is its own: one trait, the same five verbs for every service.
//!
//! The states: `start_again` answers to `kill` and `stop`, `unpause` to `pause`. Nothing else may use the instance
//! meanwhile, which is why these verbs do not exist on the shared services.

use super::ServiceError;
use super::container::Container;

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
    fn container(&self) -> OwnContainer<'_>;

    /// Freezes it: connections stay open and nothing answers, as behind a cut wire.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn pause(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.container().0.pause().await }
    }

    /// Thaws it; it goes on where it was frozen.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn unpause(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.container().0.unpause().await }
    }

    /// `kill -9` to all of it; returns when it is gone.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn kill(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.container().0.kill().await }
    }

    /// Shuts it down in an orderly way; returns when it is gone.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`].
    fn stop(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async { self.container().0.stop().await }
    }

    /// Starts it after [`kill`](Self::kill) or [`stop`](Self::stop) and waits until it answers.
    ///
    /// # Errors
    /// [`ServiceError::Lifecycle`] or [`ServiceError::NotReady`].
    fn start_again(&self) -> impl Future<Output = Result<(), ServiceError>> + Send {
        async {
            self.container().0.start_again().await?;
            self.ready().await
        }
    }
}

/// Keeps the container out of the tests' hands: only the verbs of [`OwnService`] reach it.
#[doc(hidden)]
pub struct OwnContainer<'a>(pub(super) &'a Container);
