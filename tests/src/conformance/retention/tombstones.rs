//! Tombstones: an ended stream takes nothing more, not even in a race.

use std::sync::Arc;

use highwater::retention::{Retention, TombstoneError};
use highwater::{
    Append, AppendError, Appended, EventStore, ExpectedVersion, GlobalPosition, NewEvent,
    Selection, StreamVersion, TOMBSTONE_TYPE,
};

use super::RetentionFactory;
use crate::conformance::log::given::{appended, events, exactly, refused, stream, to_any};

async fn ended(store: &dyn Retention, key: &str, count: usize) -> StreamVersion {
    appended(store, to_any(&stream(key), events(count))).await;
    store.tombstone(&stream(key)).await.unwrap()
}

/// Ended means ended.
pub async fn an_ended_stream_takes_no_event_whatever_is_expected(log: &impl RetentionFactory) {
    let store = log.open().await;
    assert_eq!(ended(&*store, "a", 2).await, StreamVersion::new(3));
    let any = ExpectedVersion::Any;
    for expected in
        [any, ExpectedVersion::NoStream, ExpectedVersion::StreamExists, exactly(2), exactly(3)]
    {
        let append = Append::to(stream("a"), expected, events(1));
        match refused(&*log.open().await, append).await {
            AppendError::StreamTombstoned { stream: of } => assert_eq!(of, stream("a")),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
    let both = to_any(&stream("b"), events(1)).and_to(stream("a"), any, events(1));
    let refusal = refused(&*store, both).await;
    assert!(matches!(refusal, AppendError::StreamTombstoned { .. }), "{refusal:?}");
    assert!(!refusal.is_retryable() && !refusal.is_conflict());
    let b = store.read_stream(&stream("b"), StreamVersion::EMPTY, 10).await.unwrap();
    assert!(b.is_empty());
}

/// Appends that share a batch with one to an ended stream succeed.
pub async fn an_ended_stream_costs_the_appends_beside_it_nothing(log: &impl RetentionFactory) {
    let store = log.open().await;
    ended(&*store, "a", 1).await;
    let appends = (0..40).map(|number| {
        let (store, is_ended) = (store.clone(), number % 4 == 0);
        let key = if is_ended { "a".to_owned() } else { format!("b{number}") };
        tokio::spawn(
            async move { (is_ended, store.append(to_any(&stream(&key), events(1))).await) },
        )
    });
    for append in appends.collect::<Vec<_>>() {
        match append.await.unwrap() {
            (true, Err(AppendError::StreamTombstoned { .. })) | (false, Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Consumers learn of the end; an aggregate never meets it.
pub async fn a_tombstone_is_seen_in_the_log_and_not_in_the_stream(log: &impl RetentionFactory) {
    let store = log.open().await;
    ended(&*store, "a", 2).await;
    let page = store.read_all(&Selection::All, GlobalPosition::START, 10).await.unwrap();
    let last = page.events.last().unwrap();
    assert_eq!((last.event_type.as_str(), last.version.get()), (TOMBSTONE_TYPE, 3));
    let read = store.read_stream(&stream("a"), StreamVersion::EMPTY, 10).await.unwrap();
    assert_eq!(read.len(), 2);
    assert!(store.read_stream(&stream("a"), StreamVersion::new(2), 10).await.unwrap().is_empty());
}

/// Two operators, or one who is not sure.
pub async fn ending_a_stream_again_answers_with_the_same_version(log: &impl RetentionFactory) {
    let store = log.open().await;
    let version = ended(&*store, "a", 2).await;
    assert_eq!(store.tombstone(&stream("a")).await.unwrap(), version);
    let left = store.stream_retention(&stream("a")).await.unwrap();
    assert!(left.is_tombstoned);
    assert_eq!(left.head, version);
}

/// A slip of the pen ends nothing.
pub async fn a_stream_without_events_can_not_be_ended(log: &impl RetentionFactory) {
    let store = log.open().await;
    let refusal = store.tombstone(&stream("a")).await.unwrap_err();
    assert!(matches!(refusal, TombstoneError::NoStream { .. }), "{refusal:?}");
    appended(&*store, to_any(&stream("a"), events(1))).await;
}

/// Who lost the answer to an append still gets it.
pub async fn a_repeated_append_is_recognised_though_the_stream_has_ended(
    log: &impl RetentionFactory,
) {
    let store = log.open().await;
    let append = to_any(&stream("a"), events(2));
    let first = appended(&*store, append.clone()).await;
    store.tombstone(&stream("a")).await.unwrap();
    let again = appended(&*store, append).await;
    assert_eq!(again, Appended { was_repeated: true, ..first });
}

/// The tombstone may go with the log; the end does not.
pub async fn an_ended_stream_stays_ended_when_all_of_it_was_removed(log: &impl RetentionFactory) {
    let store = log.open().await;
    let version = ended(&*store, "a", 2).await;
    let mark = store.high_water_mark().await.unwrap();
    appended(&*store, to_any(&stream("b"), events(1))).await;
    store.mark_log(mark).await.unwrap();
    while store.remove_from_log(2).await.unwrap().is_some() {}
    let refusal = refused(&*store, to_any(&stream("a"), events(1))).await;
    assert!(matches!(refusal, AppendError::StreamTombstoned { .. }), "{refusal:?}");
    assert_eq!(store.tombstone(&stream("a")).await.unwrap(), version);
}

/// Whoever comes first: what was acknowledged stands before the tombstone.
pub async fn no_acknowledged_append_stands_behind_a_tombstone(log: &impl RetentionFactory) {
    for round in 0..10 {
        let key = format!("a{round}");
        let mut stores: Vec<Arc<dyn EventStore>> = Vec::new();
        for _ in 0..8 {
            stores.push(log.open().await);
        }
        let ending = log.open().await;
        let of = stream(&key);
        let end = async move { ending.tombstone(&of).await.unwrap() };
        assert_eq!(race_for_the_end(&key, stores, end).await, Vec::<u64>::new());
    }
}

/// Appends to one stream through all `stores` while `end` ends it; gives the versions of acknowledged
/// appends that stand behind the end. There may be none.
pub async fn race_for_the_end(
    key: &str,
    stores: Vec<Arc<dyn EventStore>>,
    end: impl Future<Output = StreamVersion> + Send + 'static,
) -> Vec<u64> {
    appended(&*stores[0], to_any(&stream(key), events(1))).await;
    let (under_way, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let appenders: Vec<_> = stores
        .into_iter()
        .map(|store| {
            let (under_way, of) = (under_way.clone(), stream(key));
            tokio::spawn(async move {
                let mut versions = Vec::new();
                loop {
                    match store.append(to_any(&of, vec![busy()])).await {
                        Ok(appended) => versions.push(appended.heads[0].version.get()),
                        Err(AppendError::StreamTombstoned { .. }) => return versions,
                        Err(error) if error.is_retryable() => {}
                        Err(other) => panic!("{other:?}"),
                    }
                    let _ = under_way.send(());
                    // A store in memory never waits, and would keep the end from its turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    // In the thick of it.
    for _ in 0..20 {
        heard.recv().await;
    }
    let end = tokio::spawn(end).await.unwrap().get();
    let mut behind = Vec::new();
    for appender in appenders {
        behind.extend(appender.await.unwrap().into_iter().filter(|version| *version > end));
    }
    behind
}

fn busy() -> NewEvent {
    NewEvent::new("happened", &"x".repeat(100)).unwrap()
}
