//! Where a test reaches into the driver: around each call of a step or a compensation.
//!
//! Left out: the faults themselves, which the fault suite keeps.

use async_trait::async_trait;

/// What a call is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Step,
    Undo,
}

/// What a probe makes of a call instead of letting it happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(any(test, feature = "testing")), expect(dead_code, reason = "only tests inject"))]
pub(crate) enum Injected {
    Fail,
    /// Happen, and then say that only a part did.
    FailPartly,
    Retry,
}

#[async_trait]
pub(crate) trait Probe: Send + Sync {
    /// Comes before the call; may replace it, or never return, as if the process had died.
    async fn before_call(&self, kind: CallKind, step: &str) -> Option<Injected>;

    /// Comes behind the call, before its outcome is known to anybody.
    async fn after_call(&self, kind: CallKind);
}
