//! Filling a log before it is measured, with the progress on standard error.
//!
//! The events of a stream are spread over the log between those of others, as in a log that grew
//! by use, so that loading a stream costs what it costs in production.

use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures::{StreamExt, stream};
use highwater::postgres::PostgresStore;
use highwater::{Append, EventStore, ExpectedVersion, NewEvent, StreamVersion, stream_of};
use highwater_tests::services::Database;

use crate::account::{Account, history};
use crate::raw_log::{self, RawLog};

/// Streams that get an event each by one append.
const STREAMS_AT_ONCE: u64 = 250;
/// Appends in flight.
pub const APPENDS_AT_ONCE: usize = 4;

/// How much to write: streams numbered from 0, of equal length.
#[derive(Clone, Copy)]
pub struct Extent {
    pub streams: u64,
    pub events_each: u64,
}

/// Accounts with histories, in a store and in a raw log.
pub async fn accounts(extent: Extent, store: &PostgresStore, raw: &RawLog) {
    fill("the store", extent, async |accounts, version| {
        let event = history(version);
        let mut parts = accounts.map(|account| {
            let stream = stream_of::<Account>(&account).expect("a number is a key");
            let event = NewEvent::from_event(&event).expect("this is JSON");
            (stream, vec![event])
        });
        let expected = ExpectedVersion::Exact(StreamVersion::new(version - 1));
        let (stream, events) = parts.next().expect("a range is not empty");
        let append = parts
            .fold(Append::to(stream, expected, events), |append, (stream, events)| {
                append.and_to(stream, expected, events)
            });
        store.append(append).await.expect("nobody else writes here");
    })
    .await;
    fill("the raw log", extent, |accounts, version| raw.fill_accounts(accounts, version)).await;
}

/// Calls `write` with ranges of streams and the version that each of them gets next.
pub async fn fill(whose: &str, extent: Extent, write: impl AsyncFn(Range<u64>, u64)) {
    let total = extent.streams * extent.events_each;
    let progress = Progress { whose, total, done: AtomicU64::new(0), started: Instant::now() };
    let ranges = (0..extent.streams)
        .step_by(STREAMS_AT_ONCE as usize)
        .map(|first| first..(first + STREAMS_AT_ONCE).min(extent.streams));
    stream::iter(ranges)
        .for_each_concurrent(APPENDS_AT_ONCE, async |range| {
            for version in 1..=extent.events_each {
                write(range.clone(), version).await;
                progress.add(range.end - range.start);
            }
        })
        .await;
    progress.end();
}

/// Gives both sides what autovacuum would have given them by now, and writes dirty pages out, so
/// that neither pays for the filling while it is measured.
pub async fn settle(databases: [&Database; 2]) {
    for database in databases {
        let client = raw_log::connect(database.url()).await;
        client.batch_execute("VACUUM ANALYZE").await.expect("the database takes a vacuum");
        client.batch_execute("CHECKPOINT").await.expect("the server takes a checkpoint");
    }
}

struct Progress<'a> {
    whose: &'a str,
    total: u64,
    done: AtomicU64,
    started: Instant,
}

impl Progress<'_> {
    fn add(&self, events: u64) {
        let before = self.done.fetch_add(events, Ordering::Relaxed);
        let percent = |done: u64| done * 100 / self.total.max(1);
        // A log file gets the last line only.
        if std::io::stderr().is_terminal() && percent(before) != percent(before + events) {
            eprint!("\rfilling {}: {} %", self.whose, percent(before + events));
            // Progress that can't be shown is no reason to fail.
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&self) {
        let (whose, total, elapsed) = (self.whose, self.total, self.started.elapsed());
        let lead = if std::io::stderr().is_terminal() { "\r" } else { "" };
        eprintln!("{lead}filling {whose}: {total} events in {:.1} s", elapsed.as_secs_f64());
    }
}
