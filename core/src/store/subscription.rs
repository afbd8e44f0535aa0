//! Reading the log to its end and then along with it.
//!
//! The handle to the store's signal is taken before the first read, and only waits use it up. So
//! an append that a read just missed wakes the wait behind it; see [`AppendSignal`].
//!
//! A reader that isn't at the end reads ahead, while its caller is busy with the last page: the next
//! page, and where the log is dense the one behind that too, so that two connections and two cores
//! have work. The second is asked for before anybody knows where the first will end.
//!
//! # Invariants
//! 1. Positions are unique, so a full page of n events ends at least n positions behind where it
//!    began. A page asked for n positions further on therefore leaves nothing out between the two.
//! 2. A page that ended earlier (the log did) makes those behind it useless: between them events may
//!    have come. They are dropped, and what follows is read anew.
//! 3. Where the log has gaps a full page ends later, and shares events with the page behind it. What
//!    was read already is taken off that page.
//! 4. Pages below the high-water mark never change, so it doesn't matter when one was read. The
//!    exception is somebody's data that was forgotten since: a page that was asked for before that is
//!    read anew, once. (Not again and again: a process that forgets many still reads on.)

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{AppendSignal, EventStore, LogEvent, Page, ReadError};
use crate::{BareEvent, GlobalPosition, RecordedEvent, Selection};

/// How soon a reader at the end of the log looks again if nothing wakes it.
const SHORTEST_POLL: Duration = Duration::from_millis(5);
/// How long the wait grows to on a quiet log: what a missed wake-up costs at most.
const LONGEST_POLL: Duration = Duration::from_millis(100);

/// Reads the log page by page, first what is there, then what comes.
///
/// It sees every event of its selection once and in order. Behind the end of the log it holds two
/// pages at most, beside the one that its caller has: they are read while the caller is busy, each
/// over a connection of its own. At the end, it is woken by this process's own appends and polls for
/// those of others, from every 5 ms on a busy log to every 100 ms on a quiet one.
pub struct Subscription<E = RecordedEvent> {
    store: Arc<dyn EventStore>,
    selection: Selection,
    after: GlobalPosition,
    page_size: usize,
    signal: AppendSignal,
    poll: Duration,
    /// In order of position, [`EventStore::pages_ahead`] at most.
    ahead: VecDeque<ReadAhead<E>>,
}

/// The page behind `after`, on its way. Dropped, it is no longer read.
struct ReadAhead<E> {
    after: GlobalPosition,
    /// [`EventStore::forgettings`] when it was asked for.
    forgettings: u64,
    page: JoinHandle<Result<Page<E>, ReadError>>,
}

impl<E> Drop for ReadAhead<E> {
    fn drop(&mut self) {
        self.page.abort();
    }
}

impl Subscription {
    /// Reads what `selection` wants behind `after`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, selection: Selection, after: GlobalPosition) -> Self {
        let signal = store.signal();
        let (poll, ahead) = (SHORTEST_POLL, VecDeque::new());
        Self { store, selection, after, page_size: 500, signal, poll, ahead }
    }

    /// Reads on bare: for who folds events and asks nothing else of them.
    #[must_use]
    pub fn bare(self) -> Subscription<BareEvent> {
        Subscription {
            store: self.store,
            selection: self.selection,
            after: self.after,
            page_size: self.page_size,
            signal: self.signal,
            poll: self.poll,
            ahead: VecDeque::new(),
        }
    }
}

impl<E: LogEvent> Subscription<E> {
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
    pub async fn next_page(&mut self) -> Result<Page<E>, ReadError> {
        loop {
            let page = self.read().await?;
            if page.read_to > self.after {
                let ahead = if self.is_dense(&page) { self.store.pages_ahead() } else { 1 };
                self.after = page.read_to;
                self.poll = SHORTEST_POLL;
                if !page.is_last {
                    self.read_ahead(ahead);
                }
                return Ok(page);
            }
            self.rest().await;
        }
    }

    /// The page that is on its way, or else a fresh one.
    async fn read(&mut self) -> Result<Page<E>, ReadError> {
        while let Some(ahead) = self.ahead.front_mut() {
            if ahead.after > self.after || ahead.forgettings != self.store.forgettings() {
                self.ahead.clear(); // invariants 2 and 4
                break;
            }
            let (asked, forgettings) = (ahead.after, ahead.forgettings);
            // Kept until it has come: a dropped call leaves it to the next one.
            let read = (&mut ahead.page).await;
            self.ahead.pop_front();
            match read {
                Ok(Ok(_)) if forgettings != self.store.forgettings() => {} // invariant 4
                Ok(Ok(page)) if page.read_to > self.after => return Ok(self.unread(page)),
                // The log ended here then. It may have grown since.
                Ok(Ok(_)) => {}
                Ok(Err(error)) if asked == self.after => return Err(error),
                // What ails a place in front of this one (it was truncated, say) needn't ail this.
                Ok(Err(_)) => {}
                Err(error) => {
                    if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            }
        }
        E::read(&*self.store, &self.selection, self.after, self.page_size).await
    }

    /// `page` without what was read already (invariant 3).
    fn unread(&self, mut page: Page<E>) -> Page<E> {
        let read = page.events.partition_point(|event| event.position() <= self.after);
        page.events.drain(..read);
        page
    }

    /// Whether few positions in `page` hold no event that is wanted. Elsewhere two pages would share
    /// so much that reading both at a time gains nothing. A stream's index begins at one of its own
    /// events, and where the first page will end isn't known.
    fn is_dense(&self, page: &Page<E>) -> bool {
        if matches!(self.selection, Selection::Stream(_)) {
            return false;
        }
        let (positions, events) = (page.read_to.get() - self.after.get(), page.events.len());
        positions <= (events + events / 4) as u64
    }

    fn read_ahead(&mut self, pages: usize) {
        while self.ahead.len() < pages {
            let after = match self.ahead.back() {
                None => self.after,
                Some(last) => {
                    GlobalPosition::new(last.after.get().saturating_add(self.page_size as u64))
                }
            };
            let (store, selection) = (self.store.clone(), self.selection.clone());
            let (page_size, forgettings) = (self.page_size, store.forgettings());
            let page =
                tokio::spawn(async move { E::read(&*store, &selection, after, page_size).await });
            self.ahead.push_back(ReadAhead { after, forgettings, page });
        }
    }

    async fn rest(&mut self) {
        tokio::select! {
            () = self.signal.wait() => self.poll = SHORTEST_POLL,
            () = tokio::time::sleep(self.poll) => self.poll = (self.poll * 2).min(LONGEST_POLL),
        }
    }
}
