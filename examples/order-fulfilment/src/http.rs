//! The service's HTTP interface.

mod body;
mod customers;
mod health;
mod orders;
mod problem;
mod reports;
mod stock;
mod whole_body;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{delete, get, post};

use crate::service::Service;
use problem::Problem;
use whole_body::read_whole_body;

/// Every route of the service.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/orders", post(orders::place))
        .route("/orders/counts", get(reports::orders_by_status))
        .route("/orders/{order}", get(orders::show))
        .route("/orders/{order}/cancel", post(orders::cancel))
        .route("/orders/{order}/history", get(orders::history))
        .route("/orders/{order}/notifications", get(reports::notifications))
        .route("/customers/{customer}/personal-data", delete(customers::forget))
        .route("/backlog", get(reports::backlog))
        .route("/products/top", get(reports::top_products))
        .route("/stock/{product}", post(stock::receive))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(|| async {
            Problem::not_found("no such address; see the README for those there are")
        })
        .layer(middleware::from_fn(read_whole_body))
        .with_state(service)
}
