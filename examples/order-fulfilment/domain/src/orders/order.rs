//! The rules of an order.

use std::collections::BTreeSet;

use highwater::{
    Aggregate, Decide, Decision, DecisionContext, Evolve, Personal, emit, ensure, nothing,
};

use super::{
    CancelOrder, CancelReason, ConfirmOrder, FailFulfilment, MarkShipped, OrderEvent, OrderLine,
    OrderRejection, PlaceOrder,
};
use crate::{Cents, OrderId};

/// As many lines as one parcel can take.
pub(super) const MAX_LINES: usize = 100;

/// An order: how far it has come.
#[derive(Aggregate, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[aggregate(category = "order", id = OrderId, event = OrderEvent, rejection = OrderRejection)]
pub enum Order {
    /// Nobody ordered anything yet.
    #[default]
    Blank,
    /// Wanted, and not yet sure to be had.
    Placed,
    /// Reserved and paid for; past the point of no return.
    Confirmed,
    /// With the carrier.
    Shipped,
    /// Called off.
    Cancelled,
}

impl Decide<PlaceOrder> for Order {
    fn decide(&self, command: PlaceOrder, _: &DecisionContext) -> Decision<Self> {
        let PlaceOrder { order, customer, ship_to, lines, .. } = command;
        ensure!(*self == Self::Blank, OrderRejection::AlreadyPlaced);
        ensure!(!lines.is_empty(), OrderRejection::NothingOrdered);
        ensure!(lines.len() <= MAX_LINES, OrderRejection::TooManyLines { lines: lines.len() });
        let mut products = BTreeSet::new();
        if let Some(second) = lines.iter().find(|line| !products.insert(&line.product)) {
            return Err(OrderRejection::ProductTwice(second.product.clone()));
        }
        let total = total(&lines).ok_or(OrderRejection::TotalTooLarge)?;
        let ship_to = Some(Personal::of(customer, ship_to));
        emit(OrderEvent::Placed { order, customer, ship_to, lines, total })
    }
}

impl Decide<ConfirmOrder> for Order {
    fn decide(&self, command: ConfirmOrder, _: &DecisionContext) -> Decision<Self> {
        let ConfirmOrder { order } = command;
        match self {
            Self::Blank => Err(OrderRejection::NotPlaced),
            Self::Placed => emit(OrderEvent::Confirmed { order }),
            Self::Confirmed | Self::Shipped => nothing(),
            Self::Cancelled => Err(OrderRejection::Cancelled),
        }
    }
}

impl Decide<CancelOrder> for Order {
    fn decide(&self, command: CancelOrder, _: &DecisionContext) -> Decision<Self> {
        self.cancel(command.order, CancelReason::ByCustomer)
    }
}

impl Decide<FailFulfilment> for Order {
    fn decide(&self, command: FailFulfilment, _: &DecisionContext) -> Decision<Self> {
        self.cancel(command.order, command.reason)
    }
}

impl Decide<MarkShipped> for Order {
    fn decide(&self, command: MarkShipped, _: &DecisionContext) -> Decision<Self> {
        let MarkShipped { order } = command;
        match self {
            Self::Blank => Err(OrderRejection::NotPlaced),
            Self::Placed => Err(OrderRejection::NotConfirmed),
            Self::Confirmed => emit(OrderEvent::Shipped { order }),
            Self::Shipped => nothing(),
            Self::Cancelled => Err(OrderRejection::Cancelled),
        }
    }
}

impl Order {
    fn cancel(self, order: OrderId, reason: CancelReason) -> Decision<Self> {
        match self {
            Self::Blank => Err(OrderRejection::NotPlaced),
            Self::Placed => emit(OrderEvent::Cancelled { order, reason }),
            Self::Confirmed => Err(OrderRejection::AlreadyConfirmed),
            Self::Shipped => Err(OrderRejection::Shipped),
            // Whoever was first has given the reason; called off it is.
            Self::Cancelled => nothing(),
        }
    }
}

impl Evolve for Order {
    fn evolve(&mut self, event: &OrderEvent) {
        *self = match event {
            OrderEvent::Placed { .. } => Self::Placed,
            OrderEvent::Confirmed { .. } => Self::Confirmed,
            OrderEvent::Cancelled { .. } => Self::Cancelled,
            OrderEvent::Shipped { .. } => Self::Shipped,
        }
    }
}

fn total(lines: &[OrderLine]) -> Option<Cents> {
    lines.iter().try_fold(Cents::ZERO, |total, line| total.checked_add(line.total()?))
}
