//! What can be said about a payment.

use highwater::Command;

use super::Payment;
use crate::{Cents, OrderId};

/// The provider has charged the customer.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Payment)]
pub struct RecordCharge {
    /// The order that was paid for.
    #[command(id)]
    pub order: OrderId,
    /// How much was charged.
    pub amount: Cents,
}

/// The provider has refused to charge the customer.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Payment)]
pub struct RecordDecline {
    /// The order that was to be paid for.
    #[command(id)]
    pub order: OrderId,
    /// Why, as the provider says it.
    pub reason: String,
}

/// The charge was given back; or if there was none, there must never be one.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Payment)]
pub struct RecordRefund {
    /// The order that is called off.
    #[command(id)]
    pub order: OrderId,
}
