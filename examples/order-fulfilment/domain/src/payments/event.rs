//! What happens to payments.

use highwater::Event;

use crate::{Cents, OrderId};

/// Something that happened to an order's payment.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(schema)]
pub enum PaymentEvent {
    /// The customer was charged.
    #[event(name = "payment.charged")]
    Charged {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// How much was charged.
        #[serde(rename = "amount_cents")]
        amount: Cents,
    },
    /// The customer's bank said no.
    #[event(name = "payment.declined")]
    Declined {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// Why, as the provider says it.
        reason: String,
    },
    /// The charge was given back.
    #[event(name = "payment.refunded")]
    Refunded {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// How much was given back: all of it.
        #[serde(rename = "amount_cents")]
        amount: Cents,
    },
    /// Nothing was charged when it was to be given back, nor will be.
    #[event(name = "payment.refund_not_needed")]
    RefundNotNeeded {
        /// The order.
        #[event(tag)]
        order: OrderId,
    },
}
