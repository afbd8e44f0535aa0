//! The demo: a few thousand orders through HTTP, then the books are checked.

mod load;
mod summary;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::settings::{DemoSettings, Settings};
use crate::{Failure, Server, audit};
use load::Load;
use summary::Summary;

/// How many units of each product the shelves get, by order: enough for most, not for all.
const UNITS_PER_ORDER: f64 = 0.08;
/// How often the demo looks whether all orders have ended.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the demo against a service of its own, on the stack that the settings name.
///
/// # Errors
/// If an order doesn't end in time, or an invariant is broken.
pub async fn run(settings: &Settings, demo: &DemoSettings) -> Result<(), Failure> {
    let (settings, _folder) = in_fresh_folder(settings)?;
    let server = Server::start(&settings).await?;
    println!("serving at http://{}, log in {}", server.address, crate::told(&settings.stack.store));
    let run = ulid::Ulid::new().to_string();
    let load = Load::new(format!("http://{}", server.address), run);
    load.stock_up((demo.orders as f64 * UNITS_PER_ORDER).ceil() as u64).await?;

    let bar = bar("placing orders", demo.orders);
    let report = load.place(demo.orders, demo.customers.into(), &bar).await?;
    bar.finish();
    let started = Instant::now();
    wait_for_the_last(&server, demo).await?;
    let settled = report.elapsed + started.elapsed();
    server.stop().await?;

    let audit = audit::audit(&settings.stack).await?;
    let summary = Summary::new(&report, settled, &audit);
    summary.print(demo.json)?;
    audit.verdict()
}

/// The default folder would hold the orders of earlier runs; the demo takes a fresh one.
fn in_fresh_folder(settings: &Settings) -> Result<(Settings, Option<tempfile::TempDir>), Failure> {
    let mut settings = settings.clone();
    settings.listen.set_port(0);
    if !settings.stack.is_default_store() {
        return Ok((settings, None));
    }
    let folder = tempfile::tempdir()?;
    settings.stack.store = folder.path().display().to_string();
    Ok((settings, Some(folder)))
}

async fn wait_for_the_last(server: &Server, demo: &DemoSettings) -> Result<(), Failure> {
    let bar = bar("shipping or undoing", demo.orders);
    let deadline = Instant::now() + Duration::from_secs(demo.patience_s);
    loop {
        let counts = server.service.read.orders_by_status().await?;
        let (ended, open): (Vec<_>, Vec<_>) =
            counts.into_iter().partition(|(status, _)| audit::is_final(status));
        let ended: i64 = ended.iter().map(|(_, count)| count).sum();
        bar.set_position(ended as u64);
        if open.is_empty() && ended as u64 >= demo.orders && is_quiet(server).await? {
            bar.finish();
            return Ok(());
        }
        if Instant::now() > deadline {
            bar.abandon();
            return Err(format!(
                "{open:?} are still open after {} s; look at /health/ready, or give more with --patience-s",
                demo.patience_s
            )
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// True once every consumer of the log has reached its end, and the bus has carried everything.
async fn is_quiet(server: &Server) -> Result<bool, Failure> {
    let service = &server.service;
    let head = service.app.store().high_water_mark().await?;
    let is_at_head = |(name, position): &(String, highwater::GlobalPosition)| {
        // A consumer of Kafka tells no position in the log; what it has left is counted below.
        *position >= head || name.starts_with("consumer:")
    };
    let all = service.app.progress().all();
    Ok(all.iter().all(is_at_head) && service.read.untold_changes().await? == 0)
}

fn bar(doing: &'static str, orders: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{msg:20} {bar:40} {pos}/{len} {per_sec}, {elapsed} so far, {eta} to go",
    );
    let bar = ProgressBar::new(orders).with_message(doing);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
