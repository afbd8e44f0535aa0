//! The account of the chapter on aggregates, for the chapters behind it.

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve, emit, ensure,
};

/// What happens to an account.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum AccountEvent {
    /// Money came in.
    #[event(name = "account.deposited")]
    Deposited {
        /// How much.
        cents: u64,
    },
    /// Money went out.
    #[event(name = "account.withdrawn")]
    Withdrawn {
        /// How much.
        cents: u64,
    },
}

/// The account holds less than was wanted.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the account holds {balance} cents, not {wanted}")]
pub struct TooLittle {
    /// What it holds.
    pub balance: u64,
    /// What was wanted.
    pub wanted: u64,
}

/// It never pays out more than it has.
#[derive(Aggregate, Default, Clone, Debug)]
#[aggregate(category = "account", id = String, event = AccountEvent, rejection = TooLittle)]
pub struct Account {
    /// What it holds, in cents.
    pub balance: u64,
}

impl Evolve for Account {
    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents } => self.balance += cents,
            AccountEvent::Withdrawn { cents } => self.balance -= cents,
        }
    }
}

/// Puts money in.
#[derive(Command, Clone)]
#[command(aggregate = Account)]
pub struct Deposit {
    /// Where.
    #[command(id)]
    pub account: String,
    /// How much.
    pub cents: u64,
}

/// Takes money out.
#[derive(Command, Clone)]
#[command(aggregate = Account)]
pub struct Withdraw {
    /// Where.
    #[command(id)]
    pub account: String,
    /// How much.
    pub cents: u64,
}

impl Decide<Deposit> for Account {
    fn decide(&self, command: Deposit, _: &DecisionContext) -> Decision<Self> {
        emit(AccountEvent::Deposited { cents: command.cents })
    }
}

impl Decide<Withdraw> for Account {
    fn decide(&self, command: Withdraw, _: &DecisionContext) -> Decision<Self> {
        let (balance, wanted) = (self.balance, command.cents);
        ensure!(wanted <= balance, TooLittle { balance, wanted });
        emit(AccountEvent::Withdrawn { cents: wanted })
    }
}
