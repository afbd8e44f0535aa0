//! Waiting until a service really answers: a log line or an open port is not an answer (Docker's proxy accepts
//! connections for a server that is still starting).

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::ServiceError;

/// Kafka's first start formats its storage, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// One attempt: a connection into a starting container may hang without an error.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Asks until `probe` succeeds or [`PATIENCE`] is used up.
pub(super) async fn until_ready<P, F, T, E>(
    service: &'static str,
    address: &str,
    mut probe: P,
) -> Result<T, ServiceError>
where
    P: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reason = match timeout(ATTEMPT, probe()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ATTEMPT:?}"),
        };
        if Instant::now() >= deadline {
            return Err(ServiceError::NotReady {
                service,
                address: address.to_owned(),
                waited: PATIENCE,
                reason,
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}
