//! The one fault of a run: what goes wrong, and where. Strikes once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::probe::{CallKind, Injected, Probe};

/// Where a fault strikes, counted from 0 within the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Append(usize),
    Step(usize),
    Undo(usize),
}

/// What goes wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CrashBefore,
    CrashAfter,
    /// The store is gone for a moment; the call fails for now.
    Unavailable,
    /// The store appended, and the answer was lost.
    OutcomeUnknown,
    /// The call never returns.
    Hang,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) kind: Kind,
}

/// How often each kind of place was passed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) appends: usize,
    pub(super) steps: usize,
    pub(super) undos: usize,
}

/// Lets a fault strike, and counts what it passes.
#[derive(Default)]
pub(super) struct Faults {
    fault: Option<Fault>,
    /// A step that the business says no to, every time.
    refused_step: Option<String>,
    /// It says so only when its call has taken effect.
    refuses_partly: bool,
    /// The first compensation says that it can't.
    refuses_undo: bool,
    appends: AtomicUsize,
    steps: AtomicUsize,
    undos: AtomicUsize,
    /// Cancelled when the process is to be taken for dead.
    pub(super) crash: CancellationToken,
}

impl Faults {
    pub(super) fn new(
        fault: Option<Fault>,
        refused_step: Option<String>,
        refuses_undo: bool,
    ) -> Self {
        Self { fault, refused_step, refuses_undo, ..Self::default() }
    }

    /// The refused step takes effect, and then says that only a part of it did.
    pub(super) fn partly(self, refuses_partly: bool) -> Arc<Self> {
        Arc::new(Self { refuses_partly, ..self })
    }

    pub(super) fn passed(&self) -> Passed {
        Passed {
            appends: self.appends.load(Ordering::SeqCst),
            steps: self.steps.load(Ordering::SeqCst),
            undos: self.undos.load(Ordering::SeqCst),
        }
    }

    /// Passes the next append; what goes wrong with it.
    pub(super) fn at_append(&self) -> Option<Kind> {
        let place = Place::Append(self.appends.fetch_add(1, Ordering::SeqCst));
        self.fault.filter(|fault| fault.place == place).map(|fault| fault.kind)
    }

    /// The process is dead: whoever comes here goes no further.
    pub(super) async fn die<T>(&self) -> T {
        self.crash.cancel();
        std::future::pending().await
    }

    fn kind_at(&self, place: Place) -> Option<Kind> {
        self.fault.filter(|fault| fault.place == place).map(|fault| fault.kind)
    }
}

#[async_trait]
impl Probe for Faults {
    async fn before_call(&self, kind: CallKind, step: &str) -> Option<Injected> {
        let place = match kind {
            CallKind::Step => Place::Step(self.steps.fetch_add(1, Ordering::SeqCst)),
            CallKind::Undo => Place::Undo(self.undos.fetch_add(1, Ordering::SeqCst)),
        };
        match self.kind_at(place) {
            Some(Kind::CrashBefore) => self.die().await,
            Some(Kind::Hang) => std::future::pending().await,
            Some(Kind::Unavailable) => return Some(Injected::Retry),
            _ => {}
        }
        let is_refused = match kind {
            CallKind::Step => self.refused_step.as_deref() == Some(step),
            CallKind::Undo => self.refuses_undo && place == Place::Undo(0),
        };
        let refusal = match kind {
            CallKind::Step if self.refuses_partly => Injected::FailPartly,
            _ => Injected::Fail,
        };
        is_refused.then_some(refusal)
    }

    async fn after_call(&self, kind: CallKind) {
        // The call that just ended is the last one that was passed: one saga, one call at a time.
        let place = match kind {
            CallKind::Step => Place::Step(self.steps.load(Ordering::SeqCst) - 1),
            CallKind::Undo => Place::Undo(self.undos.load(Ordering::SeqCst) - 1),
        };
        if self.kind_at(place) == Some(Kind::CrashAfter) {
            self.die().await
        }
    }
}
