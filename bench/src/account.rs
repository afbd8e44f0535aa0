//! The aggregate that most benchmarks work on: an account whose entries carry long memos.
//!
//! Its history is a function of the version, so both sides of a comparison hold the same bytes.

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve, emit, ensure,
};
use serde::Deserialize;

/// With names and quotes, an entry has about 230 bytes.
const MEMO_LENGTH: usize = 200;
/// What every entry of a history moves.
const CENTS: u64 = 100;

/// What happens to an account.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum AccountEvent {
    /// It exists.
    #[event(name = "account.opened")]
    Opened { owner: String },
    /// Money came in.
    #[event(name = "account.deposited")]
    Deposited { cents: u64, memo: String },
    /// Money went out.
    #[event(name = "account.withdrawn")]
    Withdrawn { cents: u64, memo: String },
}

/// No account, or nothing put in.
#[derive(Debug, thiserror::Error)]
#[error("an account is opened before it is used, and no deposit is empty")]
pub struct Refused;

/// What its events make of an account.
#[derive(Aggregate, Default, Clone, Debug)]
#[aggregate(category = "account", id = u64, event = AccountEvent, rejection = Refused)]
pub struct Account {
    is_open: bool,
    balance: u64,
}

impl Evolve for Account {
    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => self.is_open = true,
            AccountEvent::Deposited { cents, .. } => self.balance += cents,
            AccountEvent::Withdrawn { cents, .. } => self.balance -= cents,
        }
    }
}

/// Puts money in.
#[derive(Command, Clone)]
#[command(aggregate = Account)]
pub struct Deposit {
    #[command(id)]
    pub account: u64,
    pub cents: u64,
    pub memo: String,
}

impl Deposit {
    /// The deposit that every benchmark makes.
    pub fn into(account: u64) -> Self {
        Self { account, cents: CENTS, memo: memo() }
    }
}

impl Decide<Deposit> for Account {
    fn decide(&self, command: Deposit, _: &DecisionContext) -> Decision<Self> {
        ensure!(self.is_open && command.cents > 0, Refused);
        emit(AccountEvent::Deposited { cents: command.cents, memo: command.memo })
    }
}

impl Account {
    /// What the hand-written side decides by: the same rule, without the framework.
    ///
    /// # Panics
    /// If the rule says no; nothing in a benchmark may.
    pub fn deposit(&self, command: Deposit) -> AccountEvent {
        assert!(self.is_open && command.cents > 0, "{Refused}");
        AccountEvent::Deposited { cents: command.cents, memo: command.memo }
    }
}

/// The event that stands at `version` of every account's history.
pub fn history(version: u64) -> AccountEvent {
    match version {
        1 => AccountEvent::Opened { owner: "somebody with an account".to_owned() },
        _ if version.is_multiple_of(10) => AccountEvent::Withdrawn { cents: CENTS, memo: memo() },
        _ => AccountEvent::Deposited { cents: CENTS, memo: memo() },
    }
}

#[derive(Deserialize)]
struct Opened {
    owner: String,
}

#[derive(Deserialize)]
struct Entry {
    cents: u64,
    memo: String,
}

/// Reads an event as one does without a framework: serde, chosen by the type's name.
///
/// # Panics
/// On anything that [`AccountEvent`] doesn't write.
pub fn decode_by_hand(event_type: &str, json: &[u8]) -> AccountEvent {
    let entry = || serde_json::from_slice::<Entry>(json).expect("an entry");
    match event_type {
        "account.opened" => {
            let Opened { owner } = serde_json::from_slice(json).expect("an opening");
            AccountEvent::Opened { owner }
        }
        "account.deposited" => {
            let Entry { cents, memo } = entry();
            AccountEvent::Deposited { cents, memo }
        }
        "account.withdrawn" => {
            let Entry { cents, memo } = entry();
            AccountEvent::Withdrawn { cents, memo }
        }
        other => panic!("{other} is no event of an account"),
    }
}

fn memo() -> String {
    "a word about this entry, ".chars().cycle().take(MEMO_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_read_the_same_history() {
        for event in (1..=10).map(history) {
            let data = event.encode().expect("this is JSON");
            assert_eq!(decode_by_hand(event.event_type(), data.as_json().as_bytes()), event);
        }
    }
}
