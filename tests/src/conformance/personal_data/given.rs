//! What the promises are told with: subjects and keys, and customers who live somewhere.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, Event, EventStore, Evolve, Highwater,
    HighwaterBuilder, KeyName, KeyStore, MasterKeys, Personal, RecordedEvent, SecretKey, Selection,
    StoredKey, Subject, Subscription, Vault, WrappedKey, emit, nothing,
};
use serde::{Deserialize, Serialize};

use super::PersonalDataFactory;

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);
/// An address that is found in a dump if it is there.
pub const HARBOUR: &str = "1-Harbour-Street-4711";

/// A subject by its id.
#[must_use]
pub fn subject(id: &str) -> Subject {
    Subject::new(id).unwrap()
}

/// A key's name.
#[must_use]
pub fn name(id: &str, version: u32) -> KeyName {
    KeyName { subject: subject(id), version }
}

/// A key that looks like a wrapped one; `mark` tells it from others.
#[must_use]
pub fn key(id: &str, version: u32, mark: u8) -> StoredKey {
    let wrapped = WrappedKey { master: "m".to_owned(), bytes: vec![mark; 72] };
    StoredKey { name: name(id, version), wrapped }
}

/// The master key of all processes.
#[must_use]
pub fn master() -> MasterKeys {
    MasterKeys::new("first", SecretKey::from_bytes([42; 32]))
}

/// What another process starts with: handles and a memory of its own.
pub async fn process(data: &dyn PersonalDataFactory) -> (HighwaterBuilder, Vault) {
    let (log, keys) = data.open().await;
    let vault = Vault::new(keys, master());
    (Highwater::builder(log).personal_data(vault.clone()), vault)
}

/// A process whose keys live only so long.
pub async fn process_with_keys_for(
    data: &dyn PersonalDataFactory,
    age: Duration,
) -> HighwaterBuilder {
    let (log, keys) = data.open().await;
    let vault = Vault::new(keys, master()).with_cached_keys(NonZeroUsize::MAX, age);
    Highwater::builder(log).personal_data(vault)
}

/// What happens to a customer.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum CustomerEvent {
    /// They live somewhere else now.
    #[event(name = "customer.moved")]
    Moved {
        /// Who.
        customer: String,
        /// Where.
        to: Personal<String>,
    },
    /// A letter was sent.
    #[event(name = "customer.written_to")]
    WrittenTo {
        /// Where to.
        at: Personal<String>,
    },
}

/// A customer never says no.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

/// Where a customer lives.
#[derive(Aggregate, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[aggregate(
    category = "customer",
    id = String,
    event = CustomerEvent,
    rejection = Never,
    snapshot(every = 1, version = 1, keep = 2)
)]
pub struct Customer {
    /// The newest address.
    pub address: Option<Personal<String>>,
    /// How many letters were sent.
    pub letters: usize,
}

impl Customer {
    /// The address, if there is one that can be read.
    #[must_use]
    pub fn lives_at(&self) -> Option<&str> {
        self.address.as_ref()?.reveal().map(String::as_str)
    }
}

impl Evolve for Customer {
    fn evolve(&mut self, event: &CustomerEvent) {
        match event {
            CustomerEvent::Moved { to, .. } => self.address = Some(to.clone()),
            CustomerEvent::WrittenTo { .. } => self.letters += 1,
        }
    }
}

/// The customer lives somewhere else.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Customer)]
pub struct Move {
    #[command(id)]
    customer: String,
    to: String,
}

/// A move of a customer, who is their own subject.
#[must_use]
pub fn moves(customer: &str, to: &str) -> Move {
    Move { customer: customer.to_owned(), to: to.to_owned() }
}

impl Decide<Move> for Customer {
    fn decide(&self, command: Move, _: &DecisionContext) -> Decision<Self> {
        let Move { customer, to } = command;
        emit(CustomerEvent::Moved { to: Personal::of(&customer, to), customer })
    }
}

/// Sends a letter to wherever the customer lives.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Customer)]
pub struct WriteTo {
    /// To whom.
    #[command(id)]
    pub customer: String,
}

/// A letter to a customer.
#[must_use]
pub fn write_to(customer: &str) -> WriteTo {
    WriteTo { customer: customer.to_owned() }
}

impl Decide<WriteTo> for Customer {
    fn decide(&self, _: WriteTo, _: &DecisionContext) -> Decision<Self> {
        match &self.address {
            // Carries along what was read, forgotten or not.
            Some(address) => emit(CustomerEvent::WrittenTo { at: address.clone() }),
            None => nothing(),
        }
    }
}

/// Loads a customer.
pub async fn load(app: &Highwater, customer: &str) -> Customer {
    app.commands().load::<Customer>(&customer.to_owned()).await.unwrap().state
}

/// Waits for the first event of a type.
pub async fn first_of_type(store: &Arc<dyn EventStore>, event_type: &str) -> RecordedEvent {
    let mut pages =
        Subscription::new(store.clone(), Selection::All, highwater::GlobalPosition::START);
    let found = async {
        loop {
            let page = pages.next_page().await.unwrap();
            let found = page.events.into_iter().find(|it| it.event_type.as_str() == event_type);
            if let Some(found) = found {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, found).await.expect("the event comes")
}

/// True if `needle` stands in `haystack`, as bytes or in hexadecimal digits.
#[must_use]
pub fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    let digits: String = needle.iter().map(|byte| format!("{byte:02x}")).collect();
    let found = |needle: &[u8]| haystack.windows(needle.len()).any(|window| window == needle);
    found(needle) || found(digits.as_bytes())
}

/// All wrapped keys that a store holds.
pub async fn all_wrapped(keys: &dyn KeyStore) -> Vec<StoredKey> {
    keys.not_wrapped_by("nobody", None, 1_000).await.unwrap()
}
