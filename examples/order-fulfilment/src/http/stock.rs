//! Stock that arrives in the warehouse.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use highwater::GlobalPosition;
use order_domain::inventory::ReceiveStock;
use order_domain::{ProductId, Quantity};
use serde::{Deserialize, Serialize};

use super::body::{Body, PathPart};
use super::orders::idempotency_key;
use super::problem::Problem;
use crate::service::Service;

/// What arrived.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    quantity: Quantity,
}

/// Where it is on record.
#[derive(Serialize)]
pub struct Received {
    product: ProductId,
    position: GlobalPosition,
}

/// `POST /stock/{product}`.
pub async fn receive(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    PathPart(product): PathPart<ProductId>,
    Body(delivery): Body<Delivery>,
) -> Result<Json<Received>, Problem> {
    let command = ReceiveStock {
        product: product.clone(),
        quantity: delivery.quantity,
        delivery: idempotency_key(&headers, "receive-stock")?,
    };
    let receipt = service.app.execute(command).await?;
    Ok(Json(Received { product, position: receipt.position }))
}
