//! `order.placed` as it was in version 1: nobody wrote down who ordered, nor where the parcel goes.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{OrderEvent, OrderLine};
use crate::{Cents, CustomerId, OrderId};

/// What version 1 stored.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PlacedV1 {
    order: OrderId,
    lines: Vec<OrderLine>,
    #[serde(rename = "total_cents")]
    total: Cents,
}

/// Invents nothing: each old order has a customer of its own, and no address.
pub(super) fn placed_v1_to_v2(old: PlacedV1) -> OrderEvent {
    let PlacedV1 { order, lines, total } = old;
    let customer = CustomerId::unknown_of(order);
    OrderEvent::Placed { order, customer, ship_to: None, lines, total }
}
