//! How the warehouse says no.

use crate::{OrderId, ProductId, Quantity};

/// Why the warehouse doesn't do what it is asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockRejection {
    /// There is less than that.
    #[error("{wanted} of {product} are wanted, but only {available} are free")]
    OutOfStock {
        /// The product.
        product: ProductId,
        /// How many pieces are wanted.
        wanted: Quantity,
        /// How many are neither set aside nor shipped.
        available: u64,
    },
    /// Another number of pieces was set aside for the order.
    #[error("{reserved} of {product} were reserved for order {order} before, not {wanted}")]
    ReservedDifferently {
        /// The product.
        product: ProductId,
        /// The order.
        order: OrderId,
        /// How many pieces were set aside.
        reserved: Quantity,
        /// How many are wanted now.
        wanted: Quantity,
    },
    /// The order was called off here, for good.
    #[error("the reservation of {product} for order {order} was released and can't come back")]
    Released {
        /// The product.
        product: ProductId,
        /// The order.
        order: OrderId,
    },
    /// Nothing is set aside for the order.
    #[error("no {product} is reserved for order {order}")]
    NotReserved {
        /// The product.
        product: ProductId,
        /// The order.
        order: OrderId,
    },
    /// The pieces have left.
    #[error("the {product} for order {order} has left the warehouse")]
    Shipped {
        /// The product.
        product: ProductId,
        /// The order.
        order: OrderId,
    },
}
