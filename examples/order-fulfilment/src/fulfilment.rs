//! The fulfilment saga: reserve, charge, book the carrier, confirm, hand over; or undo.
//!
//! ```text
//!   order.placed ──▶ reserve stock ──▶ charge ──▶ book carrier ──▶ confirm ──▶ hand over
//!                         │              │             │           (pivot)
//!                         ▼              ▼             │
//!      release stock, cancel order ◀── refund ◀────────┘ refused, cancelled, too late
//! ```
//!
//! Every part of a step runs under an id of its own, derived from the step's: repeated after a
//! crash, each part is recognised and has its effect once.

use std::error::Error;
use std::time::Duration;

use highwater::sagas::{
    CompensationOutcome, InvalidSaga, Saga, SagaManager, StepContext, StepOutcome,
};
use highwater::{Aggregate, Command, CommandError, CommandId, Decide, Personal};
use order_domain::inventory::{ReleaseStock, ReserveStock, ShipStock};
use order_domain::orders::{
    CancelReason, ConfirmOrder, FailFulfilment, MarkShipped, OrderEvent, OrderLine,
};
use order_domain::payments::{RecordCharge, RecordDecline, RecordRefund};
use order_domain::shipments::DispatchShipment;
use order_domain::{Cents, DeliveryAddress, OrderId, TrackingCode};
use serde::{Deserialize, Serialize};

use crate::providers::{Answer, SimulatedProvider};

/// How long the payment provider may take.
const CHARGE_DEADLINE: Duration = Duration::from_secs(30);
/// How many orders are driven at the same time.
const MAX_CONCURRENT: usize = 128;

/// What the saga knows of its order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fulfilment {
    order: OrderId,
    lines: Vec<OrderLine>,
    total: Cents,
    /// `None` if the order didn't say.
    #[serde(default)]
    ship_to: Option<Personal<DeliveryAddress>>,
}

/// Why a part of a step ended it.
enum Trouble {
    /// The business says no.
    Rejected(String),
    /// Not just now.
    Later(String),
    /// Not until somebody mends something.
    Stuck(String),
}

/// The saga, hosted as `saga:order-fulfilment`.
///
/// # Errors
/// If the definition contradicts itself.
pub fn fulfilment(
    payments: SimulatedProvider,
    carrier: SimulatedProvider,
) -> Result<SagaManager<Fulfilment>, InvalidSaga> {
    let saga = Saga::named("order-fulfilment")
        .started_by(|event: &OrderEvent, _| placed(event))
        .cancelled_by(|event: &OrderEvent, _| cancelled_by_customer(event))
        .call("reserve stock", |order, context| async move {
            match ended(reserve_stock(order, &context).await) {
                // The lines before the one that failed are reserved, and the order is still open.
                StepOutcome::Failed { reason } => StepOutcome::failed_partly(reason),
                outcome => outcome,
            }
        })
        .compensate_with(|order, context| async move {
            undone(release_stock_and_cancel(order, &context).await)
        })
        .call("charge", move |order, context| async move {
            ended(charge(order, payments, &context).await)
        })
        .compensate_with(move |order, context| async move {
            undone(refund(order, payments, &context).await)
        })
        .deadline(CHARGE_DEADLINE)
        .call("book carrier", move |order, context| book_carrier(order, carrier, context))
        .pivot("confirm", |order: &Fulfilment| ConfirmOrder { order: order.order })
        .call("hand over", |order, context| async move { ended(hand_over(order, &context).await) })
        .build()?;
    Ok(SagaManager::new(saga).with_max_concurrent(MAX_CONCURRENT))
}

fn placed(event: &OrderEvent) -> Option<(String, Fulfilment)> {
    let OrderEvent::Placed { order, ship_to, lines, total, .. } = event else {
        return None;
    };
    let (lines, ship_to) = (lines.clone(), ship_to.clone());
    let fulfilment = Fulfilment { order: *order, lines, total: *total, ship_to };
    Some((order.to_string(), fulfilment))
}

fn cancelled_by_customer(event: &OrderEvent) -> Option<String> {
    match event {
        OrderEvent::Cancelled { order, reason: CancelReason::ByCustomer } => {
            Some(order.to_string())
        }
        _ => None,
    }
}

async fn reserve_stock(fulfilment: Fulfilment, context: &StepContext) -> Result<(), Trouble> {
    let order = fulfilment.order;
    for OrderLine { product, quantity, .. } in fulfilment.lines {
        let part = product.to_string();
        execute(context, &part, ReserveStock { product, order, quantity }).await?;
    }
    Ok(())
}

async fn release_stock_and_cancel(
    fulfilment: Fulfilment,
    context: &StepContext,
) -> Result<(), Trouble> {
    let order = fulfilment.order;
    for OrderLine { product, .. } in fulfilment.lines {
        let part = product.to_string();
        execute(context, &part, ReleaseStock { product, order }).await?;
    }
    let detail = context.reason.clone().unwrap_or_default();
    let reason = CancelReason::Other { detail };
    execute(context, "cancel", FailFulfilment { order, reason }).await
}

async fn charge(
    fulfilment: Fulfilment,
    payments: SimulatedProvider,
    context: &StepContext,
) -> Result<(), Trouble> {
    let Fulfilment { order, total: amount, .. } = fulfilment;
    match payments.request(context.command).await {
        Answer::Done => {
            let recorded = execute(context, "charge", RecordCharge { order, amount }).await;
            if let Err(Trouble::Rejected(_)) = &recorded {
                // The order was called off before the money came: it goes straight back.
                payments.undo(context.command).await;
            }
            recorded
        }
        Answer::Refused => {
            let reason = "the bank said no".to_owned();
            execute(context, "decline", RecordDecline { order, reason }).await?;
            Err(Trouble::Rejected("the payment was declined".to_owned()))
        }
    }
}

async fn refund(
    fulfilment: Fulfilment,
    payments: SimulatedProvider,
    context: &StepContext,
) -> Result<(), Trouble> {
    payments.undo(context.command).await;
    execute(context, "refund", RecordRefund { order: fulfilment.order }).await
}

/// An order from before addresses were on record goes where the carrier knows. One whose customer was
/// forgotten on the way goes nowhere: it is undone.
async fn book_carrier(
    fulfilment: Fulfilment,
    carrier: SimulatedProvider,
    context: StepContext,
) -> StepOutcome<Fulfilment> {
    let is_forgotten = fulfilment.ship_to.is_some_and(|address| address.reveal().is_none());
    if is_forgotten {
        return StepOutcome::failed("the customer was forgotten, and the address with them");
    }
    match carrier.request(context.command).await {
        Answer::Done => StepOutcome::done(),
        Answer::Refused => StepOutcome::failed("no carrier takes the parcel"),
    }
}

async fn hand_over(fulfilment: Fulfilment, context: &StepContext) -> Result<(), Trouble> {
    let order = fulfilment.order;
    for OrderLine { product, .. } in fulfilment.lines {
        let part = product.to_string();
        execute(context, &part, ShipStock { product, order }).await?;
    }
    let tracking = TrackingCode::new(format!("HW-{order}"))
        .map_err(|error| Trouble::Stuck(error.to_string()))?;
    execute(context, "dispatch", DispatchShipment { order, tracking }).await?;
    execute(context, "mark shipped", MarkShipped { order }).await
}

/// Executes one part of a step, under an id that a repetition of the step derives again.
async fn execute<C>(context: &StepContext, part: &str, command: C) -> Result<(), Trouble>
where
    C: Command,
    C::Aggregate: Decide<C>,
{
    let id = CommandId::from_key(&context.idempotency_key(), part);
    let metadata = context.metadata.clone().with_command(id);
    match context.commands.execute_with(command, metadata).await {
        Ok(_) => Ok(()),
        Err(error) => Err(trouble::<<C::Aggregate as Aggregate>::Rejection>(error)),
    }
}

fn trouble<R: Error + Send + Sync + 'static>(error: CommandError<R>) -> Trouble {
    match &error {
        CommandError::Rejected(rejection) => Trouble::Rejected(rejection.to_string()),
        _ if error.is_retryable() => Trouble::Later(error.to_string()),
        _ => Trouble::Stuck(error.to_string()),
    }
}

fn ended(result: Result<(), Trouble>) -> StepOutcome<Fulfilment> {
    match result {
        Ok(()) => StepOutcome::done(),
        Err(Trouble::Rejected(reason)) => StepOutcome::failed(reason),
        Err(Trouble::Later(reason)) => StepOutcome::retry(reason),
        Err(Trouble::Stuck(reason)) => StepOutcome::pause(reason),
    }
}

fn undone(result: Result<(), Trouble>) -> CompensationOutcome<Fulfilment> {
    match result {
        Ok(()) => CompensationOutcome::undone(),
        Err(Trouble::Later(reason)) => CompensationOutcome::retry(reason),
        Err(Trouble::Rejected(reason) | Trouble::Stuck(reason)) => {
            CompensationOutcome::failed(reason)
        }
    }
}
