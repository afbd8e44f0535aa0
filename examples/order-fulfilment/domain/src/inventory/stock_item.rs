//! The rules of the stock of one product.

use std::collections::BTreeMap;

use highwater::{Aggregate, Decide, Decision, DecisionContext, Evolve, emit, ensure, nothing};
use serde::{Deserialize, Serialize};

use super::{ReceiveStock, ReleaseStock, ReserveStock, ShipStock, StockEvent, StockRejection};
use crate::{OrderId, ProductId, Quantity};

/// The stock of one product.
///
/// What is reserved is part of what is on hand, so `on hand ≥ reserved` always holds.
///
/// A product that sells well has a long history, so its state is kept as a snapshot. Raise the
/// snapshot's version with every change of these fields, or of what `evolve` makes of an event.
#[derive(Aggregate, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[aggregate(
    category = "stock",
    id = ProductId,
    event = StockEvent,
    rejection = StockRejection,
    snapshot(every = 200, version = 1)
)]
pub struct StockItem {
    on_hand: u64,
    reserved: u64,
    /// What has become of each order that ever asked. It must be remembered for good: a late or
    /// repeated command is recognised by it.
    orders: BTreeMap<OrderId, Portion>,
}

/// An order's part of the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Portion {
    Reserved(Quantity),
    Released,
    Shipped(Quantity),
}

impl StockItem {
    /// How many pieces are in the warehouse.
    #[must_use]
    pub fn on_hand(&self) -> u64 {
        self.on_hand
    }

    /// How many pieces are in the warehouse for nobody yet.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.on_hand - self.reserved
    }

    fn portion(&self, order: OrderId) -> Option<Portion> {
        self.orders.get(&order).copied()
    }
}

impl Decide<ReceiveStock> for StockItem {
    fn decide(&self, command: ReceiveStock, _: &DecisionContext) -> Decision<Self> {
        let ReceiveStock { product, quantity, .. } = command;
        emit(StockEvent::Received { product, quantity })
    }
}

impl Decide<ReserveStock> for StockItem {
    fn decide(&self, command: ReserveStock, _: &DecisionContext) -> Decision<Self> {
        let ReserveStock { product, order, quantity: wanted } = command;
        match self.portion(order) {
            None => {
                let available = self.available();
                let is_enough = u64::from(wanted.get()) <= available;
                ensure!(is_enough, StockRejection::OutOfStock { product, wanted, available });
                emit(StockEvent::Reserved { product, order, quantity: wanted })
            }
            Some(Portion::Reserved(reserved) | Portion::Shipped(reserved)) => {
                ensure!(
                    reserved == wanted,
                    StockRejection::ReservedDifferently { product, order, reserved, wanted }
                );
                nothing()
            }
            Some(Portion::Released) => Err(StockRejection::Released { product, order }),
        }
    }
}

impl Decide<ReleaseStock> for StockItem {
    fn decide(&self, command: ReleaseStock, _: &DecisionContext) -> Decision<Self> {
        let ReleaseStock { product, order } = command;
        match self.portion(order) {
            None => emit(StockEvent::ReservationBarred { product, order }),
            Some(Portion::Reserved(quantity)) => {
                emit(StockEvent::Released { product, order, quantity })
            }
            Some(Portion::Released) => nothing(),
            Some(Portion::Shipped(_)) => Err(StockRejection::Shipped { product, order }),
        }
    }
}

impl Decide<ShipStock> for StockItem {
    fn decide(&self, command: ShipStock, _: &DecisionContext) -> Decision<Self> {
        let ShipStock { product, order } = command;
        match self.portion(order) {
            None => Err(StockRejection::NotReserved { product, order }),
            Some(Portion::Reserved(quantity)) => {
                emit(StockEvent::Shipped { product, order, quantity })
            }
            Some(Portion::Released) => Err(StockRejection::Released { product, order }),
            Some(Portion::Shipped(_)) => nothing(),
        }
    }
}

impl Evolve for StockItem {
    fn evolve(&mut self, event: &StockEvent) {
        match *event {
            StockEvent::Received { quantity, .. } => self.on_hand += pieces(quantity),
            StockEvent::Reserved { order, quantity, .. } => {
                self.reserved += pieces(quantity);
                self.orders.insert(order, Portion::Reserved(quantity));
            }
            StockEvent::Released { order, quantity, .. } => {
                self.reserved -= pieces(quantity);
                self.orders.insert(order, Portion::Released);
            }
            StockEvent::ReservationBarred { order, .. } => {
                self.orders.insert(order, Portion::Released);
            }
            StockEvent::Shipped { order, quantity, .. } => {
                self.on_hand -= pieces(quantity);
                self.reserved -= pieces(quantity);
                self.orders.insert(order, Portion::Shipped(quantity));
            }
        }
    }
}

fn pieces(quantity: Quantity) -> u64 {
    quantity.get().into()
}
