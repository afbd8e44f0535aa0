//! How many events per second a log in a file takes and gives on this machine.
//!
//! `cargo run --release -p highwater-store-sqlite --example throughput [directory]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use highwater_core::{
    Append, AppendCondition, EventStore, ExpectedVersion, GlobalPosition, NewEvent, Query,
    QueryItem, Selection, StreamId, Tag,
};
use highwater_store_sqlite::SqliteStore;

const MEASURED_FOR: Duration = Duration::from_secs(4);
const DATA_BYTES: usize = 330;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let directory = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory)?;
    println!("one event of {DATA_BYTES} bytes per append, unless stated; two tags per event");
    for (callers, events) in [(1, 1), (8, 1), (64, 1), (512, 1), (64, 10)] {
        let store =
            SqliteStore::open(directory.path().join(format!("{callers}x{events}.db"))).await?;
        let rate = appending(&store, callers, events, false).await?;
        println!("{callers:>4} callers, {events:>2} events per append: {rate:>9.0} events/s");
    }
    let store = SqliteStore::open(directory.path().join("conditional.db")).await?;
    let rate = appending(&store, 64, 1, true).await?;
    println!("  64 callers, conditional appends:   {rate:>9.0} events/s");
    let store = SqliteStore::open(directory.path().join("64x10.db")).await?;
    for limit in [100, 1_000, 5_000] {
        println!("reading in pages of {limit}: {:>9.0} events/s", reading(&store, limit).await?);
    }
    Ok(())
}

async fn appending(
    store: &Arc<SqliteStore>,
    callers: usize,
    events: usize,
    is_conditional: bool,
) -> Result<f64, Failure> {
    let started = Instant::now();
    let tasks = (0..callers).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while started.elapsed() < MEASURED_FOR {
                store.append(append(caller, count, events, is_conditional)?).await?;
                count += events;
            }
            Ok::<usize, Failure>(count)
        })
    });
    let mut total = 0;
    for task in tasks.collect::<Vec<_>>() {
        total += task.await??;
    }
    Ok(total as f64 / started.elapsed().as_secs_f64())
}

/// Streams of about ten events each.
fn append(
    caller: usize,
    count: usize,
    events: usize,
    is_conditional: bool,
) -> Result<Append, Failure> {
    let stream = StreamId::new("bench", format!("{caller}.{}", count / 10))?;
    let tag = Tag::new("item", format!("{caller}.{count}"))?;
    let caller = Tag::new("caller", caller)?;
    let event = || {
        let event = NewEvent::new("happened", &"x".repeat(DATA_BYTES))?;
        Ok::<_, Failure>(event.with_tag(tag.clone()).with_tag(caller.clone()))
    };
    let events = (0..events).map(|_| event()).collect::<Result<_, _>>()?;
    let append = Append::to(stream, ExpectedVersion::Any, events);
    let query = Query::of(QueryItem::tagged([tag]));
    Ok(if is_conditional {
        append.with_condition(AppendCondition::new(query, GlobalPosition::START))
    } else {
        append
    })
}

async fn reading(store: &Arc<SqliteStore>, limit: usize) -> Result<f64, Failure> {
    let started = Instant::now();
    let (mut after, mut count) = (GlobalPosition::START, 0);
    loop {
        let page = store.read_all(&Selection::All, after, limit).await?;
        after = page.read_to;
        count += page.events.len();
        if page.is_last {
            return Ok(count as f64 / started.elapsed().as_secs_f64());
        }
    }
}
