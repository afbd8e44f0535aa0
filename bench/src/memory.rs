//! Whether memory stays flat while a process appends for minutes, and while it reads all of that.

use std::sync::Arc;
use std::time::Duration;

use highwater::EventStore;
use highwater::postgres::PostgresStore;
use highwater::{GlobalPosition, Selection};
use highwater_tests::services::PostgresService;

use crate::Effort;
use crate::append::append;
use crate::report::bounded;

/// Callers that append at the same time.
const WRITERS: usize = 256;
/// What may grow, in MiB: an allocator's slack, and nothing that follows the log.
const BOUND_MIB: f64 = 64.0;
/// How often the process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PAGE: usize = 5_000;

/// Measures growth. The appends come first: a process that has filled a log by other means would
/// hide the growth in what it no longer uses.
pub async fn run(server: &PostgresService, effort: Effort) {
    let database = server.fresh_database().await;
    let store = PostgresStore::connect(database.url()).await.expect("the store opens");
    let length = effort.length(8.0, 600.0);
    let writing = tokio::spawn(append_for(store.clone(), length));
    let growth = growth_mib(writing).await;
    let case = format!("{WRITERS} writers for {:.0} s", length.as_secs_f64());
    bounded("memory", &case, "MiB", growth, BOUND_MIB);

    let head = store.high_water_mark().await.expect("the log can be read").get();
    let times = effort.events(0, 5_000_000).div_ceil(head).max(1);
    let reading = tokio::spawn(read_all(store.clone(), times));
    let growth = growth_mib(reading).await;
    let case = format!("replay of {} events", head * times);
    bounded("memory", &case, "MiB", growth, BOUND_MIB);
    store.close().await;
}

async fn append_for(store: Arc<PostgresStore>, length: Duration) {
    let sample = append(store, WRITERS, length).await;
    eprintln!("memory / appended {:.0} events/s", sample.per_second());
}

async fn read_all(store: Arc<PostgresStore>, times: u64) {
    for _ in 0..times {
        let mut after = GlobalPosition::START;
        loop {
            let page = store.read_all(&Selection::All, after, PAGE).await;
            let page = page.expect("the log can be read");
            after = page.read_to;
            if page.is_last {
                break;
            }
        }
    }
}

/// How far the most that the process held rose above what it held when a quarter of the work was
/// done, by when every buffer has had its size.
async fn growth_mib(work: tokio::task::JoinHandle<()>) -> f64 {
    let mut held = Vec::new();
    let mut look = tokio::time::interval(LOOK_EVERY);
    while !work.is_finished() {
        look.tick().await;
        held.push(resident_mib());
    }
    work.await.expect("the measured work succeeds");
    let (warm_up, rest) = held.split_at(held.len() / 4);
    let most = |held: &[f64]| held.iter().copied().fold(0.0, f64::max);
    eprintln!("memory / {:.1} MiB, then {:.1} MiB at most", most(warm_up), most(rest));
    (most(rest) - most(warm_up)).max(0.0)
}

/// The memory that this process holds, from the kernel's own account.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("memory is measured on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.and_then(|kib| kib.parse().ok()).expect("the kernel tells VmRSS in kB");
    kib / 1_024.0
}
