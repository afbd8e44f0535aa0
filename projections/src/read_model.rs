//! What a read model's database must do for a runner.
//!
//! # Who may write when
//! 1. A claim raises the epoch. From then on only that claim's pages are taken; a page of an older
//!    one changes nothing, however late it arrives.
//! 2. A page is taken only if the checkpoint stands where the page was read from. So a page is never
//!    applied twice, and none is left out.
//! 3. Effects and checkpoint are one atomic write. No one can see either without the other.

use async_trait::async_trait;
use highwater_core::{Claim, Page, Selection, Standing};

use crate::ReadModelError;

/// A read model in some database, as the [`ProjectionRunner`](crate::ProjectionRunner) sees it.
///
/// # Contract
/// - `claim` MUST raise the epoch, atomically, and return where the checkpoint stands. It MAY return
///   `Fenced` if somebody else claimed before it had ended.
/// - `apply` MUST change nothing and return `Fenced` if the claim's epoch isn't the latest one.
/// - `apply` MUST do nothing and return `Ok` if the checkpoint stands at the page's end already: its
///   acknowledgement was lost.
/// - `apply` MUST change nothing and return `Moved` if the checkpoint stands anywhere else than at
///   `claim.position`.
/// - Otherwise it MUST write the effects of the page's events and the new checkpoint together. After
///   an error neither has moved, or both stand behind the same event of the page.
///
/// The conformance suite checks each.
#[async_trait]
pub trait ReadModel: Send + Sync + 'static {
    /// Names the read model.
    fn name(&self) -> &str;

    /// The part of the log that it is made of.
    fn selection(&self) -> Selection;

    /// Takes the read model over from whoever had it, and creates what is missing.
    ///
    /// # Errors
    /// [`ReadModelError`].
    ///
    /// # Cancel safety
    /// A claim that was dropped in flight may have ended the former one's epoch; claim again.
    async fn claim(&self) -> Result<Claim, ReadModelError>;

    /// Applies a page that was read behind `claim.position`, and moves the checkpoint to
    /// `page.read_to`.
    ///
    /// # Errors
    /// [`ReadModelError`]; after `Unavailable` the page may have been applied: claim again.
    ///
    /// # Cancel safety
    /// The page may have been applied or not; both are whole. Claim again.
    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError>;

    /// Looks who holds the read model and how far they have come, without touching anything.
    ///
    /// # Errors
    /// [`ReadModelError`].
    ///
    /// # Cancel safety
    /// Changes nothing.
    async fn standing(&self) -> Result<Standing, ReadModelError>;
}

/// What a page comes to, by invariants 1 and 2. (Redis decides the same in `apply.lua`.)
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The page is next.
    Go,
    /// The page was applied; only its acknowledgement was lost.
    Done,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Turn {
    /// Decides whether a page may be applied to a read model that stands like this.
    pub(crate) fn of(
        standing: Standing,
        claim: &Claim,
        page: &Page,
    ) -> Result<Self, ReadModelError> {
        if standing.epoch != claim.epoch {
            return Err(ReadModelError::Fenced {
                name: claim.consumer.clone(),
                epoch: claim.epoch,
            });
        }
        if standing.position == page.read_to {
            return Ok(Self::Done);
        }
        if standing.position != claim.position {
            return Err(ReadModelError::Moved {
                name: claim.consumer.clone(),
                expected: claim.position,
                found: standing.position,
            });
        }
        Ok(Self::Go)
    }
}
