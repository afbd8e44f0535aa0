//! Writers by the dozen, aborts, killed connections and races, each checked against the log at the end.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use highwater::{Appended, RecordedEvent, Subscription};

use super::*;

/// Follows the log until it has seen `last`, and checks that positions only rise.
async fn follow(
    store: Arc<PostgresStore>,
    mut last: tokio::sync::watch::Receiver<GlobalPosition>,
) -> Vec<RecordedEvent> {
    let mut seen: Vec<RecordedEvent> = Vec::new();
    let mut subscription = Subscription::new(store, Selection::All, GlobalPosition::START);
    loop {
        let position = subscription.position();
        let is_over = |last: &GlobalPosition| *last > GlobalPosition::START && position >= *last;
        let page = tokio::select! {
            page = subscription.next_page() => page,
            Ok(_) = last.wait_for(is_over) => return seen,
        };
        let Ok(page) = page else { continue };
        for event in page.events {
            let before = seen.last().map_or(GlobalPosition::START, |event| event.position);
            assert!(event.position > before, "{} came behind {before}", event.position);
            seen.push(event);
        }
    }
}

fn assert_versions_are_contiguous(events: &[RecordedEvent]) {
    let mut heads: HashMap<&StreamId, StreamVersion> = HashMap::new();
    for event in events {
        let head = heads.entry(&event.stream).or_default();
        assert_eq!(event.version, head.next(), "stream {}", event.stream);
        *head = event.version;
    }
}

fn assert_holds_all(seen: &[RecordedEvent], acknowledged: &[EventId]) {
    let present: HashSet<_> = seen.iter().map(|event| event.id).collect();
    assert_eq!(present.len(), seen.len(), "an event is there twice");
    let missed = acknowledged.iter().filter(|id| !present.contains(id)).count();
    assert_eq!(missed, 0, "of {} acknowledged events", acknowledged.len());
}

/// Appends to its own stream at exact versions and now and then to one that all writers share.
async fn write_until(store: Arc<PostgresStore>, writer: usize, end: Instant) -> Vec<EventId> {
    let mut acknowledged = Vec::new();
    let mut version = StreamVersion::EMPTY;
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        let append = if round % 16 == writer % 16 {
            to(format!("shared-{}", round % 3))
        } else {
            let events = (0..=round % 3).map(|_| event("tested").with_tag(tag("load"))).collect();
            Append::to(stream(format!("own-{writer}")), ExpectedVersion::Exact(version), events)
        };
        let ids = ids(&append);
        let appended = append_until_known(&*store, append).await;
        let head = &appended.heads[0];
        if head.stream == stream(format!("own-{writer}")) {
            version = head.version;
        }
        acknowledged.extend(ids);
    }
    acknowledged
}

/// Repeats the append under the same ids until the store says what became of it.
async fn append_until_known(store: &dyn EventStore, append: Append) -> Appended {
    let started = Instant::now();
    loop {
        match store.append(append.clone()).await {
            Ok(appended) => return appended,
            Err(error) if error.is_retryable() && started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }
}

/// Appends in transactions of its own that come to nothing: rolled back, failed, or cut off, each
/// after having drawn positions and held readers for a moment.
async fn abort_until(database: Arc<Database>, end: Instant) -> u64 {
    let mut aborted = 0;
    for round in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        let session = Session::open(database.url()).await;
        session.run("BEGIN").await;
        let shared = format!("test-shared-{}", round % 3);
        if session.try_append(&shared, "aborted", "{}").await.is_none() {
            // A writer of the store was faster, and the violation has ended the transaction.
            session.run("ROLLBACK").await;
            continue;
        }
        session.run("SELECT pg_sleep(0.003)").await;
        match round % 3 {
            0 => session.run("ROLLBACK").await,
            1 => session.run_into_error("SELECT 1 / 0").await,
            _ => session.run_into_error("SELECT pg_terminate_backend(pg_backend_pid())").await,
        }
        aborted += 1;
    }
    aborted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_misses_nothing_of_64_writers_among_whom_some_come_to_nothing() {
    let database = Arc::new(database().await);
    // Three handles that share the database only: two processes that write and one that reads.
    let writing = [open(&database).await, open(&database).await];
    let (done, last) = tokio::sync::watch::channel(GlobalPosition::START);
    let reader = tokio::spawn(follow(open(&database).await, last));
    let end = Instant::now() + load_time();
    let aborting: Vec<_> =
        (0..4).map(|_| tokio::spawn(abort_until(database.clone(), end))).collect();
    let writers: Vec<_> = (0..64)
        .map(|writer| tokio::spawn(write_until(writing[writer % 2].clone(), writer, end)))
        .collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer panicked"));
    }
    let mut aborted = 0;
    for task in aborting {
        aborted += task.await.expect("no aborting task panicked");
    }
    // One more append, so that the end of the log can be told.
    let end = writing[0].append(to("end")).await.expect("an append").position;
    done.send(end).expect("the reader follows");
    let seen =
        tokio::time::timeout(PATIENCE, reader).await.expect("it gets there").expect("no panic");
    println!(
        "{} events seen, {} acknowledged, {aborted} appends aborted",
        seen.len(),
        acknowledged.len()
    );
    assert_holds_all(&seen, &acknowledged);
    assert_versions_are_contiguous(&seen);
    assert!(aborted > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_killed_at_commit_lose_nothing_and_double_nothing() {
    let database = database().await;
    let store = open(&database).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let killed = Arc::new(AtomicU64::new(0));
    let killer = {
        let (url, is_over, killed) = (database.url().to_owned(), is_over.clone(), killed.clone());
        tokio::spawn(async move {
            let session = Session::open(&url).await;
            let mut killed_at = -1;
            while !is_over.load(Ordering::Relaxed) {
                // A pace, so that batches commit in between: not a synchronisation.
                tokio::time::sleep(Duration::from_millis(40)).await;
                let head = session.head().await;
                if head > killed_at {
                    killed_at = head;
                    let dead = session.kill_a_connection_of_the_store().await;
                    killed.fetch_add(dead, Ordering::Relaxed);
                }
            }
        })
    };
    let end = Instant::now() + load_time() / 2;
    let writers: Vec<_> =
        (0..16).map(|writer| tokio::spawn(write_until(store.clone(), writer, end))).collect();
    let mut acknowledged = Vec::new();
    for writer in writers {
        acknowledged.extend(writer.await.expect("no writer panicked"));
    }
    is_over.store(true, Ordering::Relaxed);
    killer.await.expect("no panic");
    // Every append was repeated until it was acknowledged, so the log holds those events only.
    let store = open(&database).await;
    let (_, last) = tokio::sync::watch::channel(store.high_water_mark().await.expect("a mark"));
    let seen = follow(store, last).await;
    println!("{} events, {} connections killed", seen.len(), killed.load(Ordering::Relaxed));
    assert_holds_all(&seen, &acknowledged);
    assert_eq!(seen.len(), acknowledged.len(), "an event is there that nobody appended");
    assert_versions_are_contiguous(&seen);
    assert!(killed.load(Ordering::Relaxed) > 0);
}

/// Decides on the number of events it sees, as a seat count would, and writes that number down.
async fn take_numbers_until(store: Arc<PostgresStore>, end: Instant) -> (u64, u64) {
    let query = Query::of(QueryItem::tagged([tag("hot")]));
    let selection = Selection::Query(query.clone());
    let (mut position, mut count, mut won, mut lost) = (GlobalPosition::START, 0_u64, 0, 0);
    while Instant::now() < end {
        loop {
            let page = store.read_all(&selection, position, 500).await.expect("a page");
            (position, count) = (page.read_to, count + page.events.len() as u64);
            if page.is_last {
                break;
            }
        }
        let event = NewEvent::new("numbered", &count).expect("a number").with_tag(tag("hot"));
        let append = Append::to(stream(event.id), ExpectedVersion::NoStream, vec![event])
            .with_condition(AppendCondition::new(query.clone(), position));
        match store.append(append).await {
            Ok(_) => won += 1,
            Err(AppendError::ConditionFailed) => lost += 1,
            Err(error) => panic!("{error}"),
        }
    }
    (won, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_conditional_appends_win_on_one_state() {
    let database = database().await;
    let stores = [open(&database).await, open(&database).await];
    let end = Instant::now() + load_time() / 4;
    let contenders: Vec<_> = (0..8)
        .map(|contender| tokio::spawn(take_numbers_until(stores[contender % 2].clone(), end)))
        .collect();
    let (mut won, mut lost) = (0, 0);
    for contender in contenders {
        let (wins, losses) = contender.await.expect("no panic");
        (won, lost) = (won + wins, lost + losses);
    }
    println!("{won} conditional appends won, {lost} lost");
    let (_, last) = tokio::sync::watch::channel(stores[0].high_water_mark().await.expect("a mark"));
    let numbers = follow(stores[0].clone(), last).await;
    let numbers: Vec<u64> =
        numbers.iter().map(|event| event.data.to_value().expect("a number")).collect();
    assert_eq!(numbers, (0..won).collect::<Vec<_>>());
    assert!(lost > 0, "nobody contended");
}
