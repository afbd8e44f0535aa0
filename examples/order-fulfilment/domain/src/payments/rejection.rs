//! How a payment says no.

use crate::Cents;

/// Why something can't have happened to a payment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentRejection {
    /// Another amount was charged before.
    #[error("the order was charged {0} before; an order is charged once")]
    ChargedDifferently(Cents),
    /// The money has come.
    #[error("the order was charged {0}, so it can't have been declined")]
    Charged(Cents),
    /// The bank said no, and that was final.
    #[error("the payment was declined before")]
    Declined,
    /// The money has been given back.
    #[error("the charge was refunded; the order can't be charged again")]
    Refunded,
    /// The order was called off before it was charged.
    #[error("the order was called off before it was charged; give the money back")]
    Void,
}
