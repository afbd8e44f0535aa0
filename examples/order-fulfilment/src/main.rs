//! Order fulfilment on Highwater: an HTTP service, its demo, its audit.

// A program has no outside: `pub` says that other modules use it.
#![allow(unreachable_pub)]

mod audit;
mod demo;
mod fulfilment;
mod http;
mod providers;
mod read_models;
mod schema;
mod service;
mod settings;
mod stack;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use service::Service;
use settings::{Settings, Task};
use stack::Stack;

/// Whatever ends the program; `main` prints it with its causes.
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let done = match settings.task.clone().unwrap_or(Task::Serve) {
        Task::Serve => serve(&settings).await,
        Task::Demo(demo) => demo::run(&settings, &demo).await,
        Task::Audit { json } => audit::run(&settings.stack, json).await,
        Task::Schema(task) => schema::run(&task),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(failure.as_ref());
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    println!("log:       {}", told(&settings.stack.store));
    println!("messages:  {}", settings.stack.kafka.as_deref().unwrap_or("in this process"));
    let server = Server::start(settings).await?;
    let address = server.address;
    println!("listening: http://{address}");
    println!();
    println!("Fill the shelves, place an order, and look at it:");
    println!(
        "  curl -X POST http://{address}/stock/teapot -H 'content-type: application/json' \
         -d '{{\"quantity\": 10}}'"
    );
    println!(
        "  curl -X POST http://{address}/orders -H 'content-type: application/json' \
         -d '{{\"customer\": \"01J9ZCWM3T5V8E0Q2R4S6XCVST\", \
         \"ship_to\": {{\"name\": \"Ada\", \"street\": \"1 Harbour Street\", \"town\": \"Aarhus\"}}, \
         \"lines\": [{{\"product\": \"teapot\", \"quantity\": 1, \"unit_price_cents\": 2500}}]}}'"
    );
    println!("  curl http://{address}/orders/ORDER/history");
    println!("  curl http://{address}/products/top");
    println!("  curl -X DELETE http://{address}/customers/CUSTOMER/personal-data");
    println!("  curl http://{address}/health/ready");
    tokio::signal::ctrl_c().await?;
    println!("stopping");
    server.stop().await?;
    Ok(())
}

/// A running service and the HTTP server before it.
struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(settings: &Settings) -> Result<Self, Failure> {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| format!("could not listen on {}: {error}", settings.listen))?;
        let address = listener.local_addr()?;
        let stack = Stack::connect(&settings.stack).await?;
        let service = Service::start(stack, &settings.stack, &settings.providers).await?;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = http::router(service.clone());
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // A dropped sender means the same.
            let _ = stopped.await;
        });
        let serving = tokio::spawn(serving.into_future());
        Ok(Self { address, service, stop, serving })
    }

    /// Answers the requests that are in, then stops everything behind them.
    async fn stop(self) -> Result<(), Failure> {
        // The server may have ended by itself; then there is nobody to tell.
        let _ = self.stop.send(());
        self.serving.await??;
        self.service.app.shutdown().await;
        Ok(())
    }
}

/// An address without the password in it.
fn told(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => address.to_owned(),
    }
}

fn tell(failure: &dyn Error) {
    eprintln!("error: {failure}");
    let mut cause = failure.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}
