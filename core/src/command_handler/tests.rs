//! Commands against a log in memory that fails, conflicts and loses answers on demand.
//!
//! Pauses between tries run on a clock that stands still, so no test waits for one.

mod contention;
mod desk;
mod failures;
mod ledger;
mod loading;
mod race;
mod repetition;
mod snapshots;
mod tally;
mod time_travel;

use std::sync::Arc;

use super::*;
use crate::retry_pauses::{MAX_ATTEMPTS, retry_pauses};
use crate::testing::{Fault, FaultyStore, ReadFault};
use crate::{
    Append, AppendError, CorrelationId, ExpectedVersion, MemoryStore, ReadError, RecordedEvent,
};

use tally::{Add, Added, Tally, TooMuch, stream};

type TallyError = CommandError<TooMuch>;

/// A handler, and the store behind it.
fn handler() -> (CommandHandler, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
    (CommandHandler::new(store.clone()), store)
}

/// What stands in the stream of the tally `key`.
async fn recorded(store: &FaultyStore, key: &str) -> Vec<RecordedEvent> {
    store.read_stream(&stream(key), StreamVersion::EMPTY, 20_000).await.unwrap()
}

fn one(recorded: &RecordedEvent) -> Added {
    recorded.decode().unwrap().into_one().unwrap()
}

async fn sum(commands: &CommandHandler, key: &str) -> u64 {
    commands.load::<Tally>(&key.to_owned()).await.unwrap().state.sum
}

/// What somebody else appends to the tally `key`, whatever its version.
fn from_others(key: &str, amounts: impl IntoIterator<Item = u64>) -> Append {
    let event = |by| NewEvent::from_event(&Added { by, seen: 0 }).unwrap();
    Append::to(stream(key), ExpectedVersion::Any, amounts.into_iter().map(event).collect())
}
