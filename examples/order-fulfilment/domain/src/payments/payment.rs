//! The rules of a payment.

use highwater::{Aggregate, Decide, Decision, DecisionContext, Evolve, emit, ensure, nothing};

use super::{PaymentEvent, PaymentRejection, RecordCharge, RecordDecline, RecordRefund};
use crate::{Cents, OrderId};

/// The payment of one order: how far it has come.
#[derive(Aggregate, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[aggregate(category = "payment", id = OrderId, event = PaymentEvent, rejection = PaymentRejection)]
pub enum Payment {
    /// Nothing is known.
    #[default]
    Open,
    /// The customer has paid.
    Charged(Cents),
    /// The customer's bank said no.
    Declined,
    /// The customer has paid and has the money back.
    Refunded(Cents),
    /// The customer hasn't paid and mustn't.
    Void,
}

impl Decide<RecordCharge> for Payment {
    fn decide(&self, command: RecordCharge, _: &DecisionContext) -> Decision<Self> {
        let RecordCharge { order, amount } = command;
        match *self {
            Self::Open => emit(PaymentEvent::Charged { order, amount }),
            Self::Charged(before) => {
                ensure!(before == amount, PaymentRejection::ChargedDifferently(before));
                nothing()
            }
            Self::Declined => Err(PaymentRejection::Declined),
            Self::Refunded(_) => Err(PaymentRejection::Refunded),
            Self::Void => Err(PaymentRejection::Void),
        }
    }
}

impl Decide<RecordDecline> for Payment {
    fn decide(&self, command: RecordDecline, _: &DecisionContext) -> Decision<Self> {
        let RecordDecline { order, reason } = command;
        match *self {
            Self::Open => emit(PaymentEvent::Declined { order, reason }),
            Self::Charged(amount) | Self::Refunded(amount) => {
                Err(PaymentRejection::Charged(amount))
            }
            // Nothing is paid and nothing will be: that is all a decline says.
            Self::Declined | Self::Void => nothing(),
        }
    }
}

impl Decide<RecordRefund> for Payment {
    fn decide(&self, command: RecordRefund, _: &DecisionContext) -> Decision<Self> {
        let RecordRefund { order } = command;
        match *self {
            Self::Open => emit(PaymentEvent::RefundNotNeeded { order }),
            Self::Charged(amount) => emit(PaymentEvent::Refunded { order, amount }),
            Self::Declined | Self::Refunded(_) | Self::Void => nothing(),
        }
    }
}

impl Evolve for Payment {
    fn evolve(&mut self, event: &PaymentEvent) {
        *self = match *event {
            PaymentEvent::Charged { amount, .. } => Self::Charged(amount),
            PaymentEvent::Declined { .. } => Self::Declined,
            PaymentEvent::Refunded { amount, .. } => Self::Refunded(amount),
            PaymentEvent::RefundNotNeeded { .. } => Self::Void,
        }
    }
}
