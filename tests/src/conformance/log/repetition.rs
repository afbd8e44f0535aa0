//! Chapter: the log holds an event id once, and knows its own appends again.

use highwater::{
    Append, AppendCondition, AppendError, Appended, EventId, ExpectedVersion, Selection,
};

use super::LogFactory;
use super::given::{
    appended, event, events, everything, exactly, query_tagged, refused, stream, tagged, to_any,
};

/// The same append again answers as the first one did, and appends nothing.
pub async fn a_repeated_append_answers_as_the_first_one_and_appends_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    let any = ExpectedVersion::Any;
    let append = Append::to(stream("a"), any, events(2)).and_to(stream("b"), any, events(1));
    let first = appended(&*store, append.clone()).await;
    let before = everything(&*store, &Selection::All).await;
    for _ in 0..2 {
        let again = appended(&*store, append.clone()).await;
        assert_eq!(again, Appended { was_repeated: true, ..first.clone() });
    }
    assert_eq!(everything(&*store, &Selection::All).await, before);
}

/// A repetition is recognised before its expectation is looked at, which can't hold any more.
pub async fn a_repetition_is_recognised_when_the_stream_has_moved_on(log: &dyn LogFactory) {
    let store = log.open().await;
    let append = Append::to(stream("a"), ExpectedVersion::NoStream, events(1));
    let first = appended(&*store, append.clone()).await;
    appended(&*store, to_any(&stream("a"), events(4))).await;
    let again = appended(&*store, append).await;
    assert_eq!(again, Appended { was_repeated: true, ..first });
}

/// The events of a conditional append usually match its own condition: the repetition must not
/// fail on them.
pub async fn a_repeated_conditional_append_does_not_fail_on_its_own_events(log: &dyn LogFactory) {
    let store = log.open().await;
    let start = store.high_water_mark().await.unwrap();
    let append = to_any(&stream("a"), vec![tagged("taken", &["seat:1"])])
        .with_condition(AppendCondition::new(query_tagged(&["seat:1"]), start));
    let first = appended(&*store, append.clone()).await;
    let again = appended(&*store, append).await;
    assert_eq!(again, Appended { was_repeated: true, ..first });
}

/// The same append many times at once, through several handles: one appends, all answer alike.
pub async fn an_append_repeated_at_the_same_moment_is_appended_once(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    for round in 0..5 {
        let key = stream(&round.to_string());
        let append = Append::to(key, ExpectedVersion::NoStream, events(2));
        let tasks = (0..12).map(|index| {
            let (store, append) = (handles[index % 2].clone(), append.clone());
            tokio::spawn(async move { store.append(append).await })
        });
        let mut answers = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            answers.push(task.await.unwrap().unwrap());
        }
        let firsts = answers.iter().filter(|answer| !answer.was_repeated).count();
        assert_eq!(firsts, 1, "round {round}: one of them appends, the others repeat");
        assert!(answers.iter().all(|answer| answer.position == answers[0].position));
    }
    assert_eq!(everything(&*handles[0], &Selection::All).await.len(), 10);
}

/// An id that is in the log under another stream is taken, and the answer names it.
pub async fn an_event_id_in_another_stream_is_taken(log: &dyn LogFactory) {
    let store = log.open().await;
    let original = event("original");
    appended(&*store, to_any(&stream("a"), vec![original.clone()])).await;
    let thief = vec![event("fresh"), event("thief").with_id(original.id)];
    let refusal = refused(&*store, to_any(&stream("b"), thief)).await;
    assert!(
        matches!(refusal, AppendError::EventIdTaken { id } if id == original.id),
        "{refusal:?}"
    );
    let all = everything(&*store, &Selection::All).await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].event_type.as_str(), "original");
}

/// An append of which a part is in the log already is no repetition: it appends nothing.
pub async fn an_append_that_is_partly_in_the_log_appends_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    let first = event("first");
    appended(&*store, to_any(&stream("a"), vec![first.clone()])).await;
    let longer = to_any(&stream("a"), vec![first.clone(), event("second")]);
    let refusal = refused(&*store, longer).await;
    assert!(matches!(refusal, AppendError::EventIdTaken { id } if id == first.id), "{refusal:?}");
    assert_eq!(everything(&*store, &Selection::All).await.len(), 1);
}

/// Appends with a taken id share batches with ones that are fine, which must not feel it; and of
/// two appends that bring the same new id at the same moment, one gets it.
pub async fn a_taken_event_id_costs_the_appends_beside_it_nothing(log: &dyn LogFactory) {
    let store = log.open().await;
    let shared = event("shared");
    let tasks = (0..40).map(|index| {
        let mut event = event("own");
        if index % 4 == 0 {
            event.id = shared.id;
        }
        let append = Append::to(stream(&index.to_string()), exactly(0), vec![event]);
        let store = store.clone();
        tokio::spawn(async move { (index, store.append(append).await) })
    });
    let mut winners = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await.unwrap() {
            (index, Ok(_)) => winners += usize::from(index % 4 == 0),
            (index, Err(AppendError::EventIdTaken { id })) => {
                assert!(index % 4 == 0 && id == shared.id);
            }
            (index, Err(other)) => panic!("append {index}: {other:?}"),
        }
    }
    assert_eq!(winners, 1, "appends that got the shared id");
    assert_eq!(everything(&*store, &Selection::All).await.len(), 31);
}

/// Whoever is told that an id is taken finds its event in the log, at once: it is never said of an
/// append that is still in flight, and that may come to nothing. A command that meets a taken id
/// looks who took it, and must find somebody.
pub async fn an_event_id_is_called_taken_only_of_what_is_committed(log: &dyn LogFactory) {
    let handles = [log.open().await, log.open().await];
    for round in 0..10 {
        let id = EventId::new();
        let tasks = (0..16).map(|index| {
            let store = handles[index % 2].clone();
            // Half of those that bring the id come to nothing, by what they expect.
            let expected = if index % 4 < 2 { exactly(0) } else { exactly(7) };
            let key = stream(&format!("{round} {index}"));
            let append = Append::to(key, expected, vec![event("contended").with_id(id)]);
            tokio::spawn(async move {
                let outcome = store.append(append).await;
                (outcome, store.find(&[id]).await.unwrap())
            })
        });
        let mut winners = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                (Ok(_), found) => {
                    winners += 1;
                    assert_eq!(found.len(), 1);
                }
                (Err(AppendError::EventIdTaken { id: taken }), found) => {
                    assert_eq!(taken, id);
                    assert_eq!(found.len(), 1, "the id is taken, and by nobody");
                }
                (Err(AppendError::VersionConflict { .. }), _) => {}
                (Err(other), _) => panic!("{other:?}"),
            }
        }
        assert_eq!(winners, 1, "round {round}: an append that could have had the id didn't get it");
    }
}
