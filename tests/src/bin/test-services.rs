//! Holds the shared services for other processes: starts what the environment does not name, prints `NAME=address`
//! lines and then `ready`, and ends, taking its containers along, when its standard input closes or on SIGTERM.
//!
//! `cargo xtask test` keeps one for the whole run, so that forty test programs do not start forty Kafkas, and
//! `cargo xtask services up` leaves one running. Nobody calls it by hand.

use std::io::Write;
use std::process::ExitCode;

use highwater_tests::services::{
    KAFKA_BROKERS, KafkaService, POSTGRES_URL, PostgresService, REDIS_URL, RedisService,
    ServiceError,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[tokio::main]
async fn main() -> ExitCode {
    let stays_until_signal = std::env::args().any(|argument| argument == "--until-signal");
    match serve(stays_until_signal).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(stays_until_signal: bool) -> Result<(), ServiceError> {
    let (postgres, redis, kafka) = tokio::try_join!(
        PostgresService::obtain(),
        RedisService::obtain(),
        KafkaService::obtain()
    )?;
    let mut out = std::io::stdout();
    // A reader that went away is noticed below, as closed input.
    drop(writeln!(
        out,
        "{POSTGRES_URL}={}\n{REDIS_URL}={}\n{KAFKA_BROKERS}={}\nready",
        postgres.admin_url(),
        redis.url(),
        kafka.brokers()
    ));
    drop(out.flush());
    until_told(stays_until_signal).await;
    Ok(())
}

async fn until_told(stays_until_signal: bool) {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    let (open, closed) = oneshot::channel::<()>();
    let _open_for_good = if stays_until_signal {
        Some(open)
    } else {
        // A plain thread: the runtime would wait for a blocking read when it shuts down.
        std::thread::spawn(move || {
            drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
            drop(open);
        });
        None
    };
    tokio::select! {
        () = terminated => {}
        _ = closed => {}
    }
}
