//! Keeps one component running: starts it again after an error, with growing pauses.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

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
        let error = match component.run(context.clone()).await {
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
