//! Appends on condition that nothing new carries a tag: boundaries that are no aggregate.

use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use highwater::postgres::PostgresStore;
use highwater::{
    Append, AppendCondition, Boundaries, EventStore, ExpectedVersion, GlobalPosition, Metadata,
    Query, QueryItem,
};
use highwater_tests::services::PostgresService;
use tokio::sync::Mutex;

use crate::Effort;
use crate::raw_log::RawLog;
use crate::report::compare;
use crate::sample::Sample;
use crate::seed::{self, Extent, fill};
use crate::subscription::{Course, Subscribed, course_tag};

/// Writers on courses of their own.
const WRITERS: usize = 64;
/// Clients of one hot course; the baseline has a connection for each.
const CLIENTS: usize = 8;

/// Measures conditional appends on a log that has a past.
pub async fn run(server: &PostgresService, effort: Effort) {
    let (ours, theirs) = (server.fresh_database().await, server.fresh_database().await);
    let store = PostgresStore::connect(ours.url()).await.expect("the store opens");
    let raw = RawLog::create(&theirs, CLIENTS).await;
    let events = effort.events(50_000, 1_000_000);
    seed_past(events, &store, &raw).await;
    seed::settle([&ours, &theirs]).await;
    let round = Cell::new(0_u64);
    let next = || round.replace(round.get() + 1);
    compare(
        "dcb",
        &format!("{WRITERS} writers, disjoint tags, {events} events, vs no condition"),
        "events/s",
        effort.rounds(),
        || subscribe(store.clone(), next(), true, effort.round_length()),
        || subscribe(store.clone(), next(), false, effort.round_length()),
    )
    .await;
    compare(
        "dcb",
        &format!("{CLIENTS} clients, one hot tag, {events} events, vs tag locks by hand"),
        "events/s",
        effort.rounds(),
        || crowd(store.clone(), next(), effort.round_length()),
        || crowd_by_hand(&raw, next(), effort.round_length()),
    )
    .await;
    store.close().await;
}

async fn seed_past(events: u64, store: &PostgresStore, raw: &RawLog) {
    let extent = Extent { streams: events, events_each: 1 };
    fill("the store", extent, async |numbers, _| {
        let mut parts = numbers.map(Subscribed::of_long_ago);
        let first = parts.next().expect("a range is not empty");
        let append = parts.fold(append_of(&first), |append, next| {
            append.and_to(next.stream(), ExpectedVersion::NoStream, vec![next.event()])
        });
        store.append(append).await.expect("nobody else writes here");
    })
    .await;
    fill("the raw log", extent, |numbers, _| raw.fill_tagged(numbers)).await;
}

fn append_of(event: &Subscribed) -> Append {
    Append::to(event.stream(), ExpectedVersion::NoStream, vec![event.event()])
}

/// Every writer appends to a course that nobody else writes, with or without asking.
async fn subscribe(
    store: Arc<PostgresStore>,
    round: u64,
    is_conditional: bool,
    length: Duration,
) -> Sample {
    let known: Arc<Vec<AtomicU64>> = Arc::new((0..WRITERS).map(|_| AtomicU64::new(0)).collect());
    Sample::take(WRITERS, length, move |writer| {
        let (store, known) = (store.clone(), known.clone());
        async move {
            let course = format!("own-{round}-{writer}");
            let mut append = append_of(&Subscribed::to(&course));
            if is_conditional {
                let after = GlobalPosition::new(known[writer].load(Ordering::Relaxed));
                append = append.with_condition(AppendCondition::new(course_query(&course), after));
            }
            let appended = store.append(append).await.expect("the course is this writer's");
            known[writer].store(appended.position.get(), Ordering::Relaxed);
        }
    })
    .await
}

fn course_query(course: &str) -> Query {
    Query::of(QueryItem::tagged([course_tag(course)]))
}

/// All clients subscribe students to one course: read what is new, decide, append, again if
/// somebody else came first. Each keeps what it knows of the course, like the other side's.
async fn crowd(store: Arc<PostgresStore>, round: u64, length: Duration) -> Sample {
    let course = format!("hot-{round}");
    let boundaries = Boundaries::new(store);
    let mut known = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let blank = Course::blank(&course);
        known.push(Mutex::new(boundaries.load(blank).await.expect("the course can be read")));
    }
    let known = Arc::new(known);
    Sample::take(CLIENTS, length, move |client| {
        let (boundaries, known, course) = (boundaries.clone(), known.clone(), course.clone());
        async move {
            // Nobody else takes it: a client does one thing at a time.
            let mut boundary = known[client].lock().await;
            let student = Subscribed::to(&course);
            let subscribe = |_: &Course| -> Result<_, Infallible> {
                Ok(vec![(student.stream(), student.event())])
            };
            let decided = boundaries.decide_on(&mut boundary, Metadata::default(), subscribe);
            decided.await.expect("the student is subscribed in the end");
        }
    })
    .await
}

async fn crowd_by_hand(raw: &RawLog, round: u64, length: Duration) -> Sample {
    let sessions: Vec<_> = (0..CLIENTS).map(|client| raw.session(client)).collect();
    let known: Arc<Vec<AtomicI64>> = Arc::new((0..CLIENTS).map(|_| AtomicI64::new(0)).collect());
    Sample::take(CLIENTS, length, move |client| {
        let (session, known) = (sessions[client].clone(), known.clone());
        async move {
            let mut after = known[client].load(Ordering::Relaxed);
            session.subscribe(&mut after, &Subscribed::to(&format!("hot-{round}"))).await;
            known[client].store(after, Ordering::Relaxed);
        }
    })
    .await
}
