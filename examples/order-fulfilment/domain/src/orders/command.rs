//! What an order can be asked to do.

use highwater::{Command, CommandId};

use super::{CancelReason, Order, OrderLine};
use crate::{CustomerId, DeliveryAddress, OrderId};

/// A customer orders something.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Order)]
pub struct PlaceOrder {
    /// The new order.
    #[command(id)]
    pub order: OrderId,
    /// Who orders.
    pub customer: CustomerId,
    /// Where the parcel goes. A plain value: the order itself says whose it is.
    pub ship_to: DeliveryAddress,
    /// What is ordered, one line per product.
    pub lines: Vec<OrderLine>,
    /// Recognises the customer's second click on the same button.
    #[command(idempotency_key)]
    pub request: Option<CommandId>,
}

/// The customer has thought better of it.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Order)]
pub struct CancelOrder {
    /// The order.
    #[command(id)]
    pub order: OrderId,
}

/// Everything is reserved and paid for: from here on the order will be shipped.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Order)]
pub struct ConfirmOrder {
    /// The order.
    #[command(id)]
    pub order: OrderId,
}

/// The order can't be fulfilled and is called off by the shop.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Order)]
pub struct FailFulfilment {
    /// The order.
    #[command(id)]
    pub order: OrderId,
    /// What stood in the way.
    pub reason: CancelReason,
}

/// The parcel is on its way.
#[derive(Command, Clone, Debug)]
#[command(aggregate = Order)]
pub struct MarkShipped {
    /// The order.
    #[command(id)]
    pub order: OrderId,
}
