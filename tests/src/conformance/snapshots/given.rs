//! What the promises are told with: snapshots that nobody made, and an account that is kept often.

use std::num::NonZeroUsize;

use highwater::{
    Aggregate, Command, CommandHandler, CommandId, Decide, Decision, DecisionContext, Event,
    EventId, EventStore, Evolve, GlobalPosition, Loaded, Payload, RecordedEvent, Snapshot,
    SnapshotStore, StateSchema, StreamId, StreamVersion, emit_all, ensure, stream_of,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happens to an account.
#[derive(Event, Clone, Debug)]
pub enum AccountEvent {
    /// Money came in.
    #[event(name = "account.deposited")]
    Deposited {
        /// How much.
        cents: u64,
        /// The balance that the decision was made on.
        seen: u64,
    },
}

/// No account holds more.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the account would hold more than it may")]
pub struct TooMuch;

/// Its state is its whole history, so that two states are alike only if they were made alike.
#[derive(Aggregate, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[aggregate(
    category = "account",
    id = String,
    event = AccountEvent,
    rejection = TooMuch,
    snapshot(every = 2, version = 1, keep = 3)
)]
pub struct Account {
    deposits: Vec<(u64, u64)>,
}

impl Account {
    /// The fold of some events.
    #[must_use]
    pub fn of(events: &[RecordedEvent]) -> Self {
        let mut account = Self::default();
        for recorded in events {
            for event in &recorded.decode::<AccountEvent>().unwrap() {
                account.evolve(event);
            }
        }
        account
    }
}

impl Evolve for Account {
    fn evolve(&mut self, AccountEvent::Deposited { cents, seen }: &AccountEvent) {
        self.deposits.push((*cents, *seen));
    }
}

/// Puts money in, each amount in an event of its own.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Account)]
pub struct Deposit {
    #[command(id)]
    account: String,
    cents: Vec<u64>,
    limit: u64,
    #[command(idempotency_key)]
    request: Option<CommandId>,
}

impl Decide<Deposit> for Account {
    fn decide(&self, command: Deposit, _: &DecisionContext) -> Decision<Self> {
        let seen = self.deposits.iter().map(|(cents, _)| cents).sum::<u64>();
        ensure!(seen + command.cents.iter().sum::<u64>() <= command.limit, TooMuch);
        emit_all(command.cents.into_iter().map(|cents| AccountEvent::Deposited { cents, seen }))
    }
}

/// A deposit into the account `a`.
#[must_use]
pub fn deposit(cents: &[u64]) -> Deposit {
    let account = "a".to_owned();
    Deposit { account, cents: cents.to_vec(), limit: u64::MAX, request: None }
}

impl Deposit {
    /// Under an id, by which a repetition is recognised.
    #[must_use]
    pub fn under(mut self, request: CommandId) -> Self {
        self.request = Some(request);
        self
    }

    /// Only if the account holds no more afterwards.
    #[must_use]
    pub fn up_to(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }
}

/// The stream of the account `a`.
#[must_use]
pub fn account() -> StreamId {
    stream_of::<Account>(&"a".to_owned()).unwrap()
}

/// The account `a` as a handler loads it.
pub async fn loaded(commands: &CommandHandler) -> Loaded<Account> {
    commands.load::<Account>(&"a".to_owned()).await.unwrap()
}

/// The snapshots of a store that keeps some.
#[must_use]
pub fn snapshots(store: &dyn EventStore) -> &dyn SnapshotStore {
    store.snapshots().expect("this store keeps snapshots")
}

/// A stream of the category `test`.
#[must_use]
pub fn stream(key: &str) -> StreamId {
    StreamId::new("test", key).unwrap()
}

/// A schema by its name and version.
#[must_use]
pub fn schema(name: &'static str, version: u32) -> StateSchema {
    StateSchema { name: name.into(), version }
}

/// A version by its number.
#[must_use]
pub fn version(number: u64) -> StreamVersion {
    StreamVersion::new(number)
}

/// A snapshot of `stream` at a version, of the schema `State` 1. What it holds tells where it was
/// taken.
#[must_use]
pub fn snapshot(stream: &StreamId, at: u64) -> Snapshot {
    Snapshot {
        stream: stream.clone(),
        schema: schema("State", 1),
        version: version(at),
        position: GlobalPosition::new(at * 10),
        last_event: EventId::of_command(CommandId::new(), 0),
        data: Payload::from_value(&serde_json::json!({ "at": at })).unwrap(),
        taken_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
    }
}

/// Saves a snapshot, to keep so many of its stream.
pub async fn save(store: &dyn EventStore, snapshot: &Snapshot, keep: usize) {
    let keep = NonZeroUsize::new(keep).unwrap();
    snapshots(store).save_snapshot(snapshot, keep).await.unwrap();
}

/// The newest snapshot of the schema `State` 1 at or below a version.
pub async fn load(store: &dyn EventStore, stream: &StreamId, at_most: u64) -> Option<Snapshot> {
    let schema = schema("State", 1);
    snapshots(store).load_snapshot(stream, &schema, version(at_most)).await.unwrap()
}

/// The versions of all snapshots of a stream with the schema `State` 1, the newest first.
pub async fn kept(store: &dyn EventStore, stream: &StreamId) -> Vec<u64> {
    let (mut kept, mut at_most) = (Vec::new(), u64::MAX);
    while let Some(snapshot) = load(store, stream, at_most).await {
        let at = snapshot.version.get();
        kept.push(at);
        let Some(below) = at.checked_sub(1) else { break };
        at_most = below;
    }
    kept
}
