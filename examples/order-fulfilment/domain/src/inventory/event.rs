//! What happens in the warehouse.

use highwater::Event;

use crate::{OrderId, ProductId, Quantity};

/// Something that happened to the stock of one product.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(schema)]
pub enum StockEvent {
    /// A delivery arrived.
    #[event(name = "stock.received")]
    Received {
        /// The product.
        #[event(tag)]
        product: ProductId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// Pieces were set aside for an order.
    #[event(name = "stock.reserved")]
    Reserved {
        /// The product.
        #[event(tag)]
        product: ProductId,
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// What was set aside for an order is free again.
    #[event(name = "stock.released")]
    Released {
        /// The product.
        #[event(tag)]
        product: ProductId,
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
    /// Nothing was set aside for an order when it was to be released, nor will be.
    #[event(name = "stock.reservation_barred")]
    ReservationBarred {
        /// The product.
        #[event(tag)]
        product: ProductId,
        /// The order.
        #[event(tag)]
        order: OrderId,
    },
    /// What was set aside for an order left the warehouse.
    #[event(name = "stock.shipped")]
    Shipped {
        /// The product.
        #[event(tag)]
        product: ProductId,
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// How many pieces.
        quantity: Quantity,
    },
}
