//! The orders and the goods of the chapter on sagas.

use highwater::{
    Aggregate, Command, Decide, Decision, DecisionContext, Event, Evolve, emit, nothing,
};

/// What happens to an order.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum OrderEvent {
    /// Somebody wants something.
    #[event(name = "order.placed")]
    Placed {
        /// What it costs.
        cents: u64,
    },
    /// They don't want it any more.
    #[event(name = "order.cancelled")]
    Cancelled,
}

/// What happens to the goods of one order.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum GoodsEvent {
    /// They are kept for the order.
    #[event(name = "goods.reserved")]
    Reserved,
    /// They go back to the shelf.
    #[event(name = "goods.released")]
    Released,
    /// They have left the house.
    #[event(name = "goods.shipped")]
    Shipped,
}

/// The goods never say no.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum GoodsRejection {}

/// The goods of one order.
#[derive(Aggregate, Default, Clone, Debug)]
#[aggregate(category = "goods", id = String, event = GoodsEvent, rejection = GoodsRejection)]
pub struct Goods {
    /// True while they are kept for the order.
    pub is_reserved: bool,
    /// True once they have left the house.
    pub is_shipped: bool,
}

impl Evolve for Goods {
    fn evolve(&mut self, event: &GoodsEvent) {
        self.is_reserved = *event == GoodsEvent::Reserved;
        self.is_shipped |= *event == GoodsEvent::Shipped;
    }
}

/// Keeps the goods for the order.
#[derive(Command, Clone)]
#[command(aggregate = Goods)]
pub struct Reserve {
    /// The order.
    #[command(id)]
    pub order: String,
}

/// Puts the goods back, if they are kept for the order.
#[derive(Command, Clone)]
#[command(aggregate = Goods)]
pub struct Release {
    /// The order.
    #[command(id)]
    pub order: String,
}

/// Sends the goods off.
#[derive(Command, Clone)]
#[command(aggregate = Goods)]
pub struct Ship {
    /// The order.
    #[command(id)]
    pub order: String,
}

impl Decide<Reserve> for Goods {
    fn decide(&self, _: Reserve, _: &DecisionContext) -> Decision<Self> {
        emit(GoodsEvent::Reserved)
    }
}

impl Decide<Release> for Goods {
    fn decide(&self, _: Release, _: &DecisionContext) -> Decision<Self> {
        if self.is_reserved { emit(GoodsEvent::Released) } else { nothing() }
    }
}

impl Decide<Ship> for Goods {
    fn decide(&self, _: Ship, _: &DecisionContext) -> Decision<Self> {
        emit(GoodsEvent::Shipped)
    }
}
