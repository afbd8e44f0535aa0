//! Orders: place, cancel, show, and the whole history of one.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use highwater::{
    CommandId, CommandReceipt, GlobalPosition, Metadata, RecordedEvent, StreamVersion, stream_of,
};
use order_domain::orders::{CancelOrder, Order, OrderLine, PlaceOrder};
use order_domain::{CustomerId, DeliveryAddress, OrderId};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::body::{Asked, Body, PathPart};
use super::problem::Problem;
use crate::read_models::order_status::OrderRow;
use crate::service::Service;

/// How long `?after=` waits for the read model.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most events of one order that its history shows.
const HISTORY: usize = 1_000;

/// What a customer sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    customer: CustomerId,
    ship_to: DeliveryAddress,
    lines: Vec<OrderLine>,
}

/// What the customer gets back. `position` makes `GET /orders/{order}?after=` wait for it.
#[derive(Serialize)]
pub struct Accepted {
    order: OrderId,
    position: GlobalPosition,
    was_repeated: bool,
}

/// `POST /orders`. An `Idempotency-Key` makes a repetition harmless: it gets the first answer.
pub async fn place(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    Body(new_order): Body<NewOrder>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let request = idempotency_key(&headers, "place-order")?;
    // The same request names the same order, so a repetition finds what the first one placed.
    let order = request.map_or_else(OrderId::new, |id| Ulid(id.as_uuid().as_u128()).into());
    let NewOrder { customer, ship_to, lines } = new_order;
    let command = PlaceOrder { order, customer, ship_to, lines, request };
    let receipt = service.app.execute(command).await?;
    Ok((StatusCode::CREATED, Json(accepted(order, &receipt))))
}

/// `POST /orders/{order}/cancel`.
pub async fn cancel(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    PathPart(order): PathPart<OrderId>,
) -> Result<Json<Accepted>, Problem> {
    let request = idempotency_key(&headers, "cancel-order")?.unwrap_or_else(CommandId::new);
    let metadata = Metadata::default().with_command(request);
    let receipt = service.app.commands().execute_with(CancelOrder { order }, metadata).await?;
    Ok(Json(accepted(order, &receipt)))
}

/// What `GET /orders/{order}` may be asked.
#[derive(Deserialize)]
pub struct Freshness {
    after: Option<GlobalPosition>,
}

/// `GET /orders/{order}`: the status; `?after=POSITION` waits until it shows that position.
pub async fn show(
    State(service): State<Arc<Service>>,
    PathPart(order): PathPart<OrderId>,
    Asked(freshness): Asked<Freshness>,
) -> Result<Json<OrderRow>, Problem> {
    if let Some(position) = freshness.after {
        service
            .app
            .caught_up("order-status", position, PATIENCE)
            .await
            .map_err(|error| Problem::unavailable(error.to_string()))?;
    }
    let row = service.read.order(&order.to_string()).await?;
    row.map(Json).ok_or_else(|| unknown(order))
}

/// One event of a history.
#[derive(Serialize)]
pub struct HistoryEntry {
    version: StreamVersion,
    position: GlobalPosition,
    event_type: String,
    recorded_at: String,
    data: highwater::Payload,
}

/// `GET /orders/{order}/history`: every event of the order, from the log itself.
pub async fn history(
    State(service): State<Arc<Service>>,
    PathPart(order): PathPart<OrderId>,
) -> Result<Json<Vec<HistoryEntry>>, Problem> {
    let stream = stream_of::<Order>(&order)
        .map_err(|error| Problem::malformed(StatusCode::BAD_REQUEST, error.to_string()))?;
    let events = service.app.store().read_stream(&stream, StreamVersion::EMPTY, HISTORY).await?;
    if events.is_empty() {
        return Err(unknown(order));
    }
    Ok(Json(events.into_iter().map(entry).collect()))
}

fn entry(event: RecordedEvent) -> HistoryEntry {
    HistoryEntry {
        version: event.version,
        position: event.position,
        event_type: event.event_type.to_string(),
        recorded_at: event.recorded_at.to_string(),
        data: event.data,
    }
}

fn accepted(order: OrderId, receipt: &CommandReceipt) -> Accepted {
    Accepted { order, position: receipt.position, was_repeated: receipt.was_repeated }
}

fn unknown(order: OrderId) -> Problem {
    Problem::not_found(format!("no order {order} was placed"))
}

/// The command id that the caller's key stands for, if there is a key.
pub(super) fn idempotency_key(
    headers: &HeaderMap,
    scope: &str,
) -> Result<Option<CommandId>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match key.to_str() {
        Ok(key) if (1..=200).contains(&key.len()) => Ok(Some(CommandId::from_key(scope, key))),
        _ => Err(Problem::malformed(
            StatusCode::BAD_REQUEST,
            "Idempotency-Key must have 1 to 200 visible ASCII characters",
        )),
    }
}
