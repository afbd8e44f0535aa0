//! A hint that something was appended: coalesced, lossy, cheap.
//!
//! # Why no wake-up falls between a read and the wait behind it
//! 1. A signal is given after its append has become visible.
//! 2. A handle counts signals from its own making on, and counts each until a wait returns for it.
//! 3. So who takes the handle first, then reads, then waits has seen an append in the read, or its
//!    signal is still to come, or it is counted: in no case does the wait sleep through it.

use tokio::sync::watch;

/// Wakes readers in the same process after an append. A hint: missing one costs a poll interval,
/// never an event.
///
/// Take a handle, then read, then wait, then read again:
///
/// ```
/// use highwater::{AppendSignal, EventStore, GlobalPosition};
///
/// /// Returns once the log has reached `position`, if this process appends it.
/// async fn reached(store: &dyn EventStore, position: GlobalPosition) {
///     let mut signal: AppendSignal = store.signal();
///     while store.high_water_mark().await.is_ok_and(|mark| mark < position) {
///         signal.wait().await;
///     }
/// }
/// ```
#[derive(Debug)]
pub struct AppendSignal {
    sender: watch::Sender<u64>,
    receiver: watch::Receiver<u64>,
}

impl AppendSignal {
    /// A signal that nobody has given yet.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = watch::channel(0);
        Self { sender, receiver }
    }

    /// Says that something was appended. Signals that nobody waits for fall into one.
    ///
    /// Call it once the append is visible, not before: who is woken reads at once.
    pub fn notify(&self) {
        self.sender.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits for a signal given since this handle was made or, later, since its last wait
    /// returned; returns at once if there was one.
    ///
    /// # Cancel safety
    /// A dropped wait takes no signal with it.
    pub async fn wait(&mut self) {
        // This value holds a sender itself, so the channel can't close.
        let _ = self.receiver.changed().await;
    }
}

/// A handle of its own to the same signal. It starts now: signals that were given before, whether
/// the original has waited for them or not, don't wake it.
impl Clone for AppendSignal {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), receiver: self.sender.subscribe() }
    }
}

impl Default for AppendSignal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_woken(signal: &mut AppendSignal) -> bool {
        signal.wait().now_or_never().is_some()
    }

    #[test]
    fn a_fresh_handle_is_not_woken_by_what_was_signalled_before() {
        let signal = AppendSignal::new();
        signal.notify();
        let mut fresh = signal.clone();
        assert!(!is_woken(&mut fresh));
        signal.notify();
        assert!(is_woken(&mut fresh));
    }

    #[test]
    fn a_signal_between_taking_the_handle_and_waiting_is_kept() {
        let signal = AppendSignal::new();
        let mut reader = signal.clone();
        signal.notify();
        assert!(is_woken(&mut reader));
        assert!(!is_woken(&mut reader), "it was for one wait");
    }

    #[test]
    fn signals_that_nobody_waits_for_fall_into_one() {
        let signal = AppendSignal::new();
        let mut reader = signal.clone();
        (0..10).for_each(|_| signal.notify());
        assert!(is_woken(&mut reader));
        assert!(!is_woken(&mut reader));
    }

    #[test]
    fn every_handle_is_woken_and_a_dropped_wait_takes_no_signal() {
        let signal = AppendSignal::new();
        let (mut one, mut other) = (signal.clone(), signal.clone());
        drop(one.wait());
        assert!(!is_woken(&mut one), "polled, then dropped");
        signal.notify();
        drop(one.wait());
        assert!(is_woken(&mut one));
        assert!(is_woken(&mut other));
    }
}
