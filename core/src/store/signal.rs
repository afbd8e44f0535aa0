//! A hint that something was appended: coalesced, lossy, cheap.

use tokio::sync::watch;

/// Wakes readers in the same process after an append. A hint: missing one costs a poll interval,
/// never an event.
#[derive(Clone, Debug)]
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
    pub fn notify(&self) {
        self.sender.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits for a signal given since this clone last waited.
    ///
    /// # Cancel safety
    /// A dropped wait takes no signal with it.
    pub async fn wait(&mut self) {
        // This value holds a sender itself, so the channel can't close.
        let _ = self.receiver.changed().await;
    }
}

impl Default for AppendSignal {
    fn default() -> Self {
        Self::new()
    }
}
