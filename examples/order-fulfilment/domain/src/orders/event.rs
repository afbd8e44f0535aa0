//! What happens to orders.

use std::fmt;

use highwater::{Event, Personal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OrderLine;
use super::placed_v1::placed_v1_to_v2;
use crate::{Cents, CustomerId, DeliveryAddress, OrderId, ProductId};

/// Something that happened to an order.
#[derive(Event, Clone, Debug, PartialEq)]
#[event(schema)]
pub enum OrderEvent {
    /// A customer ordered something.
    #[event(name = "order.placed", version = 2)]
    #[event(upcast(from = 1, with = placed_v1_to_v2))]
    Placed {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// Who ordered it.
        customer: CustomerId,
        /// Where the parcel goes; the customer's own, and gone once they are forgotten. `None` if the
        /// order is older than version 2, which was the first to write it down.
        #[event(personal)]
        ship_to: Option<Personal<DeliveryAddress>>,
        /// What was ordered: at least one line, one per product.
        lines: Vec<OrderLine>,
        /// What all lines cost together.
        #[serde(rename = "total_cents")]
        total: Cents,
    },
    /// Everything was reserved and paid for.
    #[event(name = "order.confirmed")]
    Confirmed {
        /// The order.
        #[event(tag)]
        order: OrderId,
    },
    /// The order was called off; nothing of it was shipped, nor will be.
    #[event(name = "order.cancelled")]
    Cancelled {
        /// The order.
        #[event(tag)]
        order: OrderId,
        /// Why.
        reason: CancelReason,
    },
    /// The parcel was handed to the carrier.
    #[event(name = "order.shipped")]
    Shipped {
        /// The order.
        #[event(tag)]
        order: OrderId,
    },
}

/// Why an order was called off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CancelReason {
    /// The customer has thought better of it.
    ByCustomer,
    /// There isn't enough of a product.
    OutOfStock {
        /// The product.
        product: ProductId,
    },
    /// The customer's bank said no.
    PaymentDeclined,
    /// Fulfilment came to no end in time.
    TookTooLong,
    /// Something else, as it was reported.
    Other {
        /// The report.
        detail: String,
    },
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByCustomer => f.write_str("cancelled by the customer"),
            Self::OutOfStock { product } => write!(f, "{product} is out of stock"),
            Self::PaymentDeclined => f.write_str("the payment was declined"),
            Self::TookTooLong => f.write_str("fulfilment took too long"),
            Self::Other { detail } => f.write_str(detail),
        }
    }
}
