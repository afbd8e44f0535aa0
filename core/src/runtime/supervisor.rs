//! Keeps one component running: starts it again after an error or a panic, with growing pauses.

use std::any::Any;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt;
use tokio::time::Instant;

use super::{Component, ComponentContext, ComponentError, ComponentHealth, Health};

/// A component that ran this long was well: its next failure counts as the first.
const WELL_AFTER: Duration = Duration::from_secs(30);

/// Runs `component` until shutdown, or until it fails for good.
pub(super) async fn supervise(
    component: Arc<dyn Component>,
    context: ComponentContext,
    health: Health,
) {
    let name = component.name().to_owned();
    let mut pauses = pauses();
    let mut failures = 0;
    loop {
        health.set(&name, ComponentHealth::Running);
        let started = Instant::now();
        let error = match run_once(&*component, &context).await {
            Ok(()) => {
                health.set(&name, ComponentHealth::Stopped);
                return;
            }
            Err(error) => error,
        };
        if started.elapsed() >= WELL_AFTER {
            (failures, pauses) = (0, self::pauses());
        }
        failures += 1;
        if !report(&name, &error, failures, &health) {
            return;
        }
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = context.shutdown.cancelled() => {
                health.set(&name, ComponentHealth::Stopped);
                return;
            }
        }
    }
}

/// Runs the component until it returns; a panic becomes an error after which it is started again.
async fn run_once(
    component: &dyn Component,
    context: &ComponentContext,
) -> Result<(), ComponentError> {
    // What a panic leaves half done in memory is the component's to survive, like a dropped run:
    // its contract says that only what is durable counts.
    let run = AssertUnwindSafe(async { component.run(context.clone()).await });
    run.catch_unwind().await.unwrap_or_else(|payload| Err(panicked(&*payload)))
}

fn panicked(payload: &(dyn Any + Send)) -> ComponentError {
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    ComponentError::retry("it panicked", message)
}

/// Says what happened; true if the component is to be started again.
fn report(name: &str, error: &ComponentError, failures: u32, health: &Health) -> bool {
    let told = with_causes(error);
    if error.is_retryable() {
        tracing::warn!(component = name, failures, error = %told, "component stopped, will restart");
        health.set(name, ComponentHealth::Restarting { error: told, failures });
        true
    } else {
        tracing::error!(component = name, error = %told, "component failed and stays stopped");
        health.set(name, ComponentHealth::Failed { error: told });
        false
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}

fn with_causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
