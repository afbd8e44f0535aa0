//! Each fault does to the log what it says, and nothing else.

use super::*;
use crate::{ExpectedVersion, MemoryStore, NewEvent};

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(MemoryStore::new()))
}

fn stream() -> StreamId {
    StreamId::new("test", "a").unwrap()
}

fn append() -> Append {
    let event = NewEvent::new("tested", &1).unwrap();
    Append::to(stream(), ExpectedVersion::NoStream, vec![event])
}

async fn events(store: &FaultyStore) -> usize {
    store.read_stream(&stream(), StreamVersion::EMPTY, 10).await.unwrap().len()
}

#[tokio::test]
async fn a_fault_that_appends_nothing_says_which_it_is_and_is_over_then() {
    for (fault, is_it) in [
        (Fault::Unavailable, (|it| matches!(it, AppendError::Unavailable { .. })) as fn(&_) -> _),
        (Fault::Refused, |it| matches!(it, AppendError::Refused { .. })),
        (Fault::Conflict, |it| matches!(it, AppendError::VersionConflict { .. })),
        (Fault::LostBeforeCommit, |it| matches!(it, AppendError::OutcomeUnknown { .. })),
    ] {
        let store = store();
        store.fail_next_append(fault.clone());
        let error = store.append(append()).await.unwrap_err();
        assert!(is_it(&error), "{fault:?} became {error:?}");
        assert_eq!(events(&store).await, 0, "{fault:?}");
        store.append(append()).await.unwrap();
        assert_eq!((events(&store).await, store.appends(), store.faults_left()), (1, 2, 0));
    }
}

#[tokio::test]
async fn what_is_lost_after_the_commit_is_in_the_log() {
    let store = store();
    store.fail_next_append(Fault::LostAfterCommit);
    let append = append();
    let error = store.append(append.clone()).await.unwrap_err();
    assert!(matches!(error, AppendError::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(events(&store).await, 1);
    assert!(store.append(append).await.unwrap().was_repeated);
}

#[tokio::test]
async fn an_invalid_append_is_told_as_such_although_its_answer_was_to_be_lost() {
    let store = store();
    store.fail_next_append(Fault::LostAfterCommit);
    let empty = Append::to(stream(), ExpectedVersion::Any, vec![]);
    assert!(matches!(store.append(empty).await, Err(AppendError::Invalid(_))));
}

#[tokio::test]
async fn an_append_that_is_overtaken_meets_the_other_one() {
    let store = store();
    store.fail_next_append(Fault::OvertakenBy(append()));
    let error = store.append(append()).await.unwrap_err();
    assert!(
        matches!(error, AppendError::VersionConflict { actual, .. } if actual.get() == 1),
        "{error:?}"
    );
    assert_eq!(events(&store).await, 1);
}

#[tokio::test]
#[should_panic(expected = "the append that was to come first failed")]
async fn an_overtaking_append_that_fails_is_a_mistake_in_the_script() {
    let store = store();
    store.append(append()).await.unwrap();
    store.fail_next_append(Fault::OvertakenBy(append()));
    let _ = store.append(append()).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_append_is_carried_out_late_and_a_delayed_read_answers_late() {
    let (store, second) = (store(), Duration::from_secs(1));
    store.fail_next_append(Fault::Delay(second));
    store.fail_next_read(ReadFault::Delay(second * 2));
    let begin = tokio::time::Instant::now();
    let (appended, read) = tokio::join!(store.append(append()), events(&store));
    appended.unwrap();
    assert_eq!((read, begin.elapsed()), (0, second * 2), "it read before the append");
    assert_eq!(events(&store).await, 1);
}

#[tokio::test]
async fn faults_of_reads_meet_reads_in_their_order() {
    let store = store();
    store.fail_next_read(ReadFault::Unavailable);
    store.fail_next_read(ReadFault::Corrupt);
    store.append(append()).await.unwrap();
    let read = store.read_stream(&stream(), StreamVersion::EMPTY, 10).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    let read = store.read_all(&Selection::All, GlobalPosition::START, 10).await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
    assert_eq!((events(&store).await, store.reads(), store.faults_left()), (1, 3, 0));
}

#[tokio::test]
async fn signals_that_are_kept_back_reach_nobody() {
    use futures::FutureExt;
    let open = store();
    let deaf = store().without_signals();
    let (mut heard, mut unheard) = (open.signal(), deaf.signal());
    open.append(append()).await.unwrap();
    deaf.append(append()).await.unwrap();
    assert!(heard.wait().now_or_never().is_some());
    assert!(unheard.wait().now_or_never().is_none());
}
