//! What the warehouse can be asked to do.

use highwater::{Command, CommandId};

use super::StockItem;
use crate::{OrderId, ProductId, Quantity};

/// A delivery arrives. Two deliveries may look alike, so only the command's id tells a second one
/// from a repetition of the first.
#[derive(Command, Clone, Debug)]
#[command(aggregate = StockItem)]
pub struct ReceiveStock {
    /// What arrives.
    #[command(id)]
    pub product: ProductId,
    /// How much of it.
    pub quantity: Quantity,
    /// Recognises the delivery if it is booked twice.
    #[command(idempotency_key)]
    pub delivery: Option<CommandId>,
}

/// Sets pieces aside for an order.
#[derive(Command, Clone, Debug)]
#[command(aggregate = StockItem)]
pub struct ReserveStock {
    /// What is set aside.
    #[command(id)]
    pub product: ProductId,
    /// For which order.
    pub order: OrderId,
    /// How many pieces.
    pub quantity: Quantity,
}

/// Undoes [`ReserveStock`], or makes sure that it never happens.
#[derive(Command, Clone, Debug)]
#[command(aggregate = StockItem)]
pub struct ReleaseStock {
    /// What was set aside.
    #[command(id)]
    pub product: ProductId,
    /// For which order.
    pub order: OrderId,
}

/// What was set aside for an order leaves the warehouse.
#[derive(Command, Clone, Debug)]
#[command(aggregate = StockItem)]
pub struct ShipStock {
    /// What leaves.
    #[command(id)]
    pub product: ProductId,
    /// For which order.
    pub order: OrderId,
}
