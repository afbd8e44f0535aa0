//! What a probe asks: is it alive, is it ready, and how far behind is each part.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use highwater::ComponentHealth;
use serde_json::{Value, json};

use crate::service::Service;

/// `GET /health/live`: no part has failed for good.
pub async fn live(State(service): State<Arc<Service>>) -> (StatusCode, Json<Value>) {
    let health = service.app.health();
    (status(health.is_live()), Json(json!({ "live": health.is_live() })))
}

/// `GET /health/ready`: every part runs and the log answers.
pub async fn ready(State(service): State<Arc<Service>>) -> (StatusCode, Json<Value>) {
    let head = service.app.store().high_water_mark().await;
    let is_ready = service.app.health().is_ready() && head.is_ok();
    let head = head.ok().map(|head| head.get());
    let components: Vec<_> = service
        .app
        .health()
        .components()
        .into_iter()
        .map(|(name, health)| component(&service, &name, &health, head))
        .collect();
    let told = json!({ "ready": is_ready, "log_head": head, "components": components });
    (status(is_ready), Json(told))
}

fn component(service: &Service, name: &str, health: &ComponentHealth, head: Option<u64>) -> Value {
    let position = service.app.progress().position(name).unwrap_or_default().get();
    let (state, error) = match health {
        ComponentHealth::Running => ("running", None),
        ComponentHealth::Restarting { error, .. } => ("restarting", Some(error)),
        ComponentHealth::Failed { error } => ("failed", Some(error)),
        ComponentHealth::Stopped => ("stopped", None),
        _ => ("unknown", None),
    };
    json!({
        "name": name,
        "state": state,
        "error": error,
        "position": position,
        "lag_positions": head.map(|head| head.saturating_sub(position)),
    })
}

fn status(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
