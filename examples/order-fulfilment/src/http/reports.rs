//! What the read models tell: counts, top products, notifications.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use order_domain::OrderId;
use serde::{Deserialize, Serialize};

use super::body::{Asked, PathPart};
use super::problem::Problem;
use crate::audit::is_final;
use crate::read_models::notifications::Notification;
use crate::read_models::top_products::ProductUnits;
use crate::service::Service;

/// `GET /orders/counts`: how many orders there are in each status.
pub async fn orders_by_status(
    State(service): State<Arc<Service>>,
) -> Result<Json<BTreeMap<String, i64>>, Problem> {
    Ok(Json(service.read.orders_by_status().await?.into_iter().collect()))
}

/// What is still to be done.
#[derive(Serialize)]
pub struct Backlog {
    open_orders: i64,
    untold_changes: i64,
}

/// `GET /backlog`: orders that haven't ended, and changes that customers weren't told yet.
pub async fn backlog(State(service): State<Arc<Service>>) -> Result<Json<Backlog>, Problem> {
    let counts = service.read.orders_by_status().await?;
    let open = counts.iter().filter(|(status, _)| !is_final(status));
    let open_orders = open.map(|(_, count)| count).sum();
    Ok(Json(Backlog { open_orders, untold_changes: service.read.untold_changes().await? }))
}

/// How many products to tell.
#[derive(Deserialize)]
pub struct Limit {
    limit: Option<u8>,
}

/// `GET /products/top?limit=10`: what is ordered most.
pub async fn top_products(
    State(service): State<Arc<Service>>,
    Asked(asked): Asked<Limit>,
) -> Result<Json<Vec<ProductUnits>>, Problem> {
    let limit = u32::from(asked.limit.unwrap_or(10));
    let products = service.top_products.top(limit).await;
    products.map(Json).map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "top products not reachable");
        Problem::unavailable(error.to_string())
    })
}

/// `GET /orders/{order}/notifications`: what the customer was told.
pub async fn notifications(
    State(service): State<Arc<Service>>,
    PathPart(order): PathPart<OrderId>,
) -> Result<Json<Vec<Notification>>, Problem> {
    Ok(Json(service.read.notifications(&order.to_string()).await?))
}
