//! Chapter: an append whose expected version doesn't hold appends nothing and says so.

use highwater::{Append, AppendError, ExpectedVersion, Selection, StreamVersion};

use super::LogFactory;
use super::given::{
    appended, events, everything, exactly, refused, stream, to_any, versions, whole_stream,
};

/// `Any` accepts a stream that exists and one that doesn't.
pub async fn any_version_accepts_every_stream(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    appended(&*store, to_any(&stream("a"), events(1))).await;
    assert_eq!(whole_stream(&*store, &stream("a")).await.len(), 2);
}

/// `NoStream` accepts a stream without events, once.
pub async fn no_stream_accepts_only_a_new_stream(log: &dyn LogFactory) {
    let store = log.open().await;
    let new = || Append::to(stream("a"), ExpectedVersion::NoStream, events(1));
    appended(&*store, new()).await;
    assert!(matches!(refused(&*store, new()).await, AppendError::VersionConflict { .. }));
}

/// `StreamExists` accepts a stream that has an event.
pub async fn stream_exists_accepts_only_a_stream_with_events(log: &dyn LogFactory) {
    let store = log.open().await;
    let more = || Append::to(stream("a"), ExpectedVersion::StreamExists, events(1));
    assert!(matches!(refused(&*store, more()).await, AppendError::VersionConflict { .. }));
    appended(&*store, to_any(&stream("a"), events(1))).await;
    appended(&*store, more()).await;
}

/// `Exact` accepts the version it names, 0 for a stream without events, and no other.
pub async fn an_exact_version_accepts_only_that_version(log: &dyn LogFactory) {
    let store = log.open().await;
    let at = |version| Append::to(stream("a"), exactly(version), events(2));
    appended(&*store, at(0)).await;
    for wrong in [0, 1, 3] {
        let refusal = refused(&*store, at(wrong)).await;
        assert!(matches!(refusal, AppendError::VersionConflict { .. }), "{refusal:?}");
    }
    appended(&*store, at(2)).await;
}

/// A conflict names the stream, what was expected and what is there.
pub async fn a_conflict_names_the_stream_the_expected_and_the_actual_version(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(3))).await;
    let wrong = [
        (stream("a"), exactly(2), 3),
        (stream("a"), exactly(4), 3),
        (stream("a"), ExpectedVersion::NoStream, 3),
        (stream("b"), exactly(1), 0),
        (stream("b"), ExpectedVersion::StreamExists, 0),
    ];
    for (of, demanded, found) in wrong {
        let refusal = refused(&*store, Append::to(of.clone(), demanded, events(1))).await;
        let AppendError::VersionConflict { stream, expected, actual } = refusal else {
            panic!("expected a conflict, got {refusal:?}");
        };
        assert_eq!((stream, expected, actual), (of, demanded, StreamVersion::new(found)));
    }
}

/// A conflict leaves the log as it was.
pub async fn a_conflict_appends_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    appended(&*store, to_any(&stream("a"), events(2))).await;
    let before = everything(&*store, &Selection::All).await;
    refused(&*store, Append::to(stream("a"), exactly(1), events(5))).await;
    assert_eq!(everything(&*store, &Selection::All).await, before);
}

/// Of many that expect the same version at the same moment, through several handles, one succeeds
/// and all others are told of the conflict.
pub async fn of_many_appends_that_expect_the_same_version_one_succeeds(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    for round in 0..5 {
        let tasks = (0..16).map(|index| {
            let store = handles[index % 2].clone();
            let append = Append::to(stream("hot"), exactly(round), events(1));
            tokio::spawn(async move { store.append(append).await })
        });
        let mut winners = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Ok(_) => winners += 1,
                Err(AppendError::VersionConflict { .. }) => {}
                Err(other) => panic!("expected a conflict, got {other:?}"),
            }
        }
        assert_eq!(winners, 1, "in round {round}");
    }
}

/// Appends that conflict share batches with ones that don't, which must not feel it.
pub async fn a_conflict_costs_the_appends_beside_it_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    let tasks = (0..60).map(|index| {
        let store = store.clone();
        let expected = if index % 3 == 0 { exactly(9) } else { ExpectedVersion::NoStream };
        let append = Append::to(stream(&index.to_string()), expected, events(1));
        tokio::spawn(async move { (index, store.append(append).await) })
    });
    for task in tasks.collect::<Vec<_>>() {
        let (index, outcome) = task.await.unwrap();
        assert_eq!(outcome.is_err(), index % 3 == 0, "append {index}: {outcome:?}");
    }
    assert_eq!(everything(&*store, &Selection::All).await.len(), 40);
}

/// An append that accepts any version gets its turn, however many processes append to its stream.
pub async fn an_append_that_accepts_any_version_is_never_starved(log: &dyn LogFactory) {
    let mut appenders = Vec::new();
    for _ in 0..16 {
        let store = log.open().await;
        appenders.push(tokio::spawn(async move {
            for _ in 0..40 {
                appended(&*store, to_any(&stream("busy"), events(1))).await;
            }
        }));
    }
    for appender in appenders {
        appender.await.unwrap();
    }
    let store = log.open().await;
    let versions = versions(&whole_stream(&*store, &stream("busy")).await);
    assert_eq!(versions, (1..=16 * 40).collect::<Vec<u64>>());
}
