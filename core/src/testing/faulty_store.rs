//! A store that fails when a test wants it to.
//!
//! It owns the faults between a caller and a store that works. Left out: what a store itself may
//! get wrong; the conformance suite looks for that.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Append, AppendError, AppendSignal, Appended, EventStore, GlobalPosition, Page, ReadError,
    RecordedEvent, Selection, SnapshotStore, StreamId, StreamVersion,
};

/// What goes wrong with an append.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The store is busy: `Unavailable`, and nothing is appended.
    Unavailable,
    /// The store doesn't take it: `Refused`, and nothing is appended.
    Refused,
    /// The store says `VersionConflict`, although the stream stands where it did.
    Conflict,
    /// Somebody else comes first: their append is carried out, and then this one as it is.
    OvertakenBy(Append),
    /// The connection is lost before the commit: `OutcomeUnknown`, and nothing is appended.
    LostBeforeCommit,
    /// The connection is lost behind the commit: `OutcomeUnknown`, and the events are in the log.
    LostAfterCommit,
    /// The append is carried out this much later.
    Delay(Duration),
}

/// What goes wrong with a read of the log or of a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReadFault {
    /// The store can't be reached: `Unavailable`.
    Unavailable,
    /// The store holds what nobody can read: `Corrupt`.
    Corrupt,
    /// The answer comes this much later, and is what was true when the read began.
    Delay(Duration),
}

/// Passes everything on to another store, but for the faults that a test puts in line.
///
/// Each append takes the next of its faults, if there is one left; each read (`read_stream` and
/// `read_all`) the next of its own. Everything else goes through. A retry is an append like any
/// other: it meets the fault that is next in line, or none.
///
/// The caller is told what a real store would tell it, so a test shows what the caller makes of it:
///
/// ```
/// # use highwater::{Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve, emit};
/// # #[derive(Event)]
/// # enum AccountEvent { #[event(name = "account.deposited")] Deposited { cents: u64 } }
/// # #[derive(Debug, thiserror::Error)] #[error("never")] struct Never;
/// # #[derive(Aggregate, Default, Clone)]
/// # #[aggregate(category = "account", id = String, event = AccountEvent, rejection = Never)]
/// # struct Account { balance: u64 }
/// # impl Evolve for Account {
/// #     fn evolve(&mut self, AccountEvent::Deposited { cents }: &AccountEvent) { self.balance += cents; }
/// # }
/// # #[derive(Command, Clone)]
/// # #[command(aggregate = Account)]
/// # struct Deposit { #[command(id)] account: String, cents: u64 }
/// # impl Decide<Deposit> for Account {
/// #     fn decide(&self, command: Deposit, _: &DecisionContext) -> Decision<Self> {
/// #         emit(AccountEvent::Deposited { cents: command.cents })
/// #     }
/// # }
/// use std::sync::Arc;
///
/// use highwater::testing::{Fault, FaultyStore};
/// use highwater::{CommandError, CommandHandler, MemoryStore, Metadata};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
/// let commands = CommandHandler::new(store.clone());
/// let deposit = Deposit { account: "ada".to_owned(), cents: 70 };
///
/// store.fail_next_append(Fault::LostAfterCommit);
/// let Err(CommandError::Append { command, source }) = commands.execute(deposit.clone()).await
/// else {
///     panic!("the commit's answer was lost");
/// };
/// assert!(source.is_retryable());
///
/// // The same command again finds what it did, and does nothing more.
/// let again = Metadata::default().with_command(command);
/// assert!(commands.execute_with(deposit, again).await?.was_repeated);
/// assert_eq!(commands.load::<Account>(&"ada".to_owned()).await?.state.balance, 70);
/// assert_eq!((store.appends(), store.faults_left()), (1, 0));
/// # Ok(())
/// # }
/// ```
pub struct FaultyStore {
    inner: Arc<dyn EventStore>,
    gives_signals: bool,
    append_faults: Mutex<VecDeque<Fault>>,
    read_faults: Mutex<VecDeque<ReadFault>>,
    appends: AtomicUsize,
    reads: AtomicUsize,
}

impl FaultyStore {
    /// A store in front of `inner`, without any faults yet.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>) -> Self {
        Self {
            inner,
            gives_signals: true,
            append_faults: Mutex::default(),
            read_faults: Mutex::default(),
            appends: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
        }
    }

    /// Keeps the store's signals back: every append is as if another process had made it.
    #[must_use]
    pub fn without_signals(mut self) -> Self {
        self.gives_signals = false;
        self
    }

    /// Lets an append meet `fault`: the next one, or the first behind those that meet the faults
    /// already in line.
    pub fn fail_next_append(&self, fault: Fault) {
        locked(&self.append_faults).push_back(fault);
    }

    /// Lets a read meet `fault`: the next one, or the first behind those that meet the faults
    /// already in line.
    pub fn fail_next_read(&self, fault: ReadFault) {
        locked(&self.read_faults).push_back(fault);
    }

    /// How many faults nothing has met yet. A test that ends with some left didn't test them.
    #[must_use]
    pub fn faults_left(&self) -> usize {
        locked(&self.append_faults).len() + locked(&self.read_faults).len()
    }

    /// How many appends came in, whatever became of them.
    #[must_use]
    pub fn appends(&self) -> usize {
        self.appends.load(Ordering::SeqCst)
    }

    /// How many reads came in, whatever became of them.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn next_read_fault(&self) -> Option<ReadFault> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        locked(&self.read_faults).pop_front()
    }

    async fn conflict(&self, append: &Append) -> AppendError {
        let Some(part) = append.streams().first() else {
            return AppendError::ConditionFailed;
        };
        match version_of(&*self.inner, &part.stream).await {
            Ok(actual) => AppendError::VersionConflict {
                stream: part.stream.clone(),
                expected: part.expected,
                actual,
            },
            Err(source) => AppendError::Unavailable { source: Box::new(source) },
        }
    }
}

// Not imported: in the tests below, a store's methods would have two owners.
#[async_trait]
impl crate::StoreLayer for FaultyStore {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots()
    }

    /// # Panics
    /// If the append of [`Fault::OvertakenBy`] fails: the test's own script is wrong.
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let fault = locked(&self.append_faults).pop_front();
        match fault {
            None => self.inner.append(append).await,
            Some(Fault::Unavailable) => Err(AppendError::Unavailable { source: injected() }),
            Some(Fault::Refused) => Err(AppendError::Refused { source: injected() }),
            Some(Fault::Conflict) => Err(self.conflict(&append).await),
            Some(Fault::OvertakenBy(others)) => {
                if let Err(error) = self.inner.append(others).await {
                    panic!("the append that was to come first failed: {error}");
                }
                self.inner.append(append).await
            }
            Some(Fault::LostBeforeCommit) => {
                Err(AppendError::OutcomeUnknown { source: injected() })
            }
            Some(Fault::LostAfterCommit) => {
                self.inner.append(append).await?;
                Err(AppendError::OutcomeUnknown { source: injected() })
            }
            Some(Fault::Delay(pause)) => {
                tokio::time::sleep(pause).await;
                self.inner.append(append).await
            }
        }
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let fault = self.next_read_fault();
        let read = self.inner.read_stream(stream, after, limit).await;
        answer(fault, read).await
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let fault = self.next_read_fault();
        let read = self.inner.read_all(selection, after, limit).await;
        answer(fault, read).await
    }

    fn returns_what_was_appended(&self) -> bool {
        self.inner.returns_what_was_appended()
    }

    fn signal(&self) -> AppendSignal {
        if self.gives_signals { self.inner.signal() } else { AppendSignal::new() }
    }
}

async fn answer<T>(fault: Option<ReadFault>, read: Result<T, ReadError>) -> Result<T, ReadError> {
    match fault {
        None => read,
        Some(ReadFault::Unavailable) => Err(ReadError::Unavailable { source: injected() }),
        Some(ReadFault::Corrupt) => {
            Err(ReadError::Corrupt { position: GlobalPosition::START, source: injected() })
        }
        Some(ReadFault::Delay(pause)) => {
            tokio::time::sleep(pause).await;
            read
        }
    }
}

/// Where a stream stands, found page by page: a store has no cheaper way to say it.
async fn version_of(store: &dyn EventStore, stream: &StreamId) -> Result<StreamVersion, ReadError> {
    let mut version = StreamVersion::EMPTY;
    while let Some(last) = store.read_stream(stream, version, 1_000).await?.last() {
        version = last.version;
    }
    Ok(version)
}

fn injected() -> Box<dyn std::error::Error + Send + Sync> {
    "a fault that the test injected".into()
}

fn locked<T>(queue: &Mutex<T>) -> MutexGuard<'_, T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
