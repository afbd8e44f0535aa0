//! Reading the log to its end and then along with it.
//!
//! The handle to the store's signal is taken before the first read, and only waits use it up. So
//! an append that a read just missed wakes the wait behind it; see [`AppendSignal`].
//!
//! A reader that isn't at the end reads one page ahead, while its caller is busy with the last one.
//! Nothing is lost or doubled by that: pages below the high-water mark never change, and a page
//! read ahead is taken up from where it was asked for, or dropped with the reader.

#[cfg(test)]
mod tests;

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{AppendSignal, EventStore, Page, ReadError};
use crate::{GlobalPosition, Selection};

/// How soon a reader at the end of the log looks again if nothing wakes it.
const SHORTEST_POLL: Duration = Duration::from_millis(5);
/// How long the wait grows to on a quiet log: what a missed wake-up costs at most.
const LONGEST_POLL: Duration = Duration::from_millis(100);

/// Reads the log page by page, first what is there, then what comes.
///
/// It sees every event of its selection once and in order. Behind the end of the log it holds two
/// pages at most: the next one is read while the caller is busy with the last. At the end, it is
/// woken by this process's own appends and polls for those of others, from every 5 ms on a busy log
/// to every 100 ms on a quiet one.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    selection: Selection,
    after: GlobalPosition,
    page_size: usize,
    signal: AppendSignal,
    poll: Duration,
    ahead: Option<ReadAhead>,
}

/// The page behind `after`, on its way. Dropped, it is no longer read.
struct ReadAhead(JoinHandle<Result<Page, ReadError>>);

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subscription {
    /// Reads what `selection` wants behind `after`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, selection: Selection, after: GlobalPosition) -> Self {
        let signal = store.signal();
        Self { store, selection, after, page_size: 500, signal, poll: SHORTEST_POLL, ahead: None }
    }

    /// Reads at most this many events at a time (500 unless told; at least 1).
    #[must_use]
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.page_size = events.max(1);
        self
    }

    /// How far it has read.
    #[must_use]
    pub fn position(&self) -> GlobalPosition {
        self.after
    }

    /// Returns the next page, waiting until the log has moved on: the page holds events, or at
    /// least `read_to` is further than before.
    ///
    /// # Errors
    /// [`ReadError`]; call again to go on from the same place.
    ///
    /// # Cancel safety
    /// A dropped call loses nothing: the next one reads from the same place.
    pub async fn next_page(&mut self) -> Result<Page, ReadError> {
        loop {
            let page = self.read().await?;
            if page.read_to > self.after {
                self.after = page.read_to;
                self.poll = SHORTEST_POLL;
                if !page.is_last {
                    self.read_ahead();
                }
                return Ok(page);
            }
            self.rest().await;
        }
    }

    /// The page that is on its way, or else a fresh one.
    async fn read(&mut self) -> Result<Page, ReadError> {
        if let Some(ahead) = &mut self.ahead {
            // Kept until it has come: a dropped call leaves it to the next one.
            let read = (&mut ahead.0).await;
            self.ahead = None;
            match read {
                Ok(page) => return page,
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            }
        }
        self.store.read_all(&self.selection, self.after, self.page_size).await
    }

    fn read_ahead(&mut self) {
        let (store, selection) = (self.store.clone(), self.selection.clone());
        let (after, page_size) = (self.after, self.page_size);
        self.ahead = Some(ReadAhead(tokio::spawn(async move {
            store.read_all(&selection, after, page_size).await
        })));
    }

    async fn rest(&mut self) {
        tokio::select! {
            () = self.signal.wait() => self.poll = SHORTEST_POLL,
            () = tokio::time::sleep(self.poll) => self.poll = (self.poll * 2).min(LONGEST_POLL),
        }
    }
}
