//! Somebody else comes first: the command is decided again, a bounded number of times.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_a_conflict_the_command_is_decided_again_on_the_new_state() {
    let (commands, store) = handler();
    commands.execute(Add::one("a", 10)).await.unwrap();
    store.fail_next_append(Fault::OvertakenBy(from_others("a", [7])));
    let receipt = commands.execute(Add::one("a", 5)).await.unwrap();
    let events = recorded(&store, "a").await;
    let last = one(&events[2]);
    assert_eq!(last, Added { by: 5, seen: 17 }, "the second decision saw both");
    assert_eq!((receipt.version, receipt.position), (events[2].version, events[2].position));
    assert!(!receipt.was_repeated);
    assert_eq!((store.appends(), store.faults_left()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_decision_on_the_new_state_may_be_a_rejection() {
    let (commands, store) = handler();
    store.fail_next_append(Fault::OvertakenBy(from_others("a", [97])));
    let error = commands.execute(Add::one("a", 5)).await.unwrap_err();
    assert_eq!(error.rejection(), Some(&TooMuch { seen: 97 }));
    assert_eq!(sum(&commands, "a").await, 97);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_overtaken_in_every_try_ends_as_contended() {
    let (commands, store) = handler();
    for _ in 0..MAX_ATTEMPTS {
        store.fail_next_append(Fault::OvertakenBy(from_others("a", [1])));
    }
    let error = commands.execute(Add::one("a", 5)).await.unwrap_err();
    let CommandError::Contended { stream: contended, attempts } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((contended, *attempts), (&stream("a"), MAX_ATTEMPTS));
    assert!(error.is_retryable());
    assert_eq!((store.appends(), store.faults_left()), (MAX_ATTEMPTS as usize, 0));
    assert_eq!(sum(&commands, "a").await, u64::from(MAX_ATTEMPTS), "only what others added");
}

#[tokio::test(start_paused = true)]
async fn the_last_try_still_counts() {
    let (commands, store) = handler();
    for _ in 1..MAX_ATTEMPTS {
        store.fail_next_append(Fault::Conflict);
    }
    assert_eq!(commands.execute(Add::one("a", 5)).await.unwrap().version.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_tries_grow_and_stay_below_half_a_second() {
    let pauses: Vec<_> = retry_pauses().collect();
    assert_eq!(pauses.len(), MAX_ATTEMPTS as usize - 1);
    assert!(pauses[0] < pauses[8], "{pauses:?}");
    assert!(pauses.iter().all(|it| *it < Duration::from_millis(500)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_not_tried_again() {
    let (commands, store) = handler();
    let error = commands.execute(Add::one("a", 101)).await.unwrap_err();
    assert_eq!(error.rejection(), Some(&TooMuch { seen: 0 }));
    assert!(!error.is_retryable());
    assert_eq!((store.reads(), store.appends()), (1, 0));
}
