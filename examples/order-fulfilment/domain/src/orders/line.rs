//! One line of an order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cents, ProductId, Quantity};

/// Some pieces of one product, at a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    /// What is ordered.
    pub product: ProductId,
    /// How many pieces of it.
    pub quantity: Quantity,
    /// What one piece costs.
    #[serde(rename = "unit_price_cents")]
    pub unit_price: Cents,
}

impl OrderLine {
    /// What the line costs, unless that is more than can be counted.
    #[must_use]
    pub fn total(&self) -> Option<Cents> {
        self.unit_price.checked_mul(self.quantity)
    }
}
