//! A command id takes effect once, and answers alike however often it comes.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_repeated_command_returns_the_first_outcome_and_appends_nothing() {
    let (commands, store) = handler();
    let add = Add::each("a", [1, 2]).under(CommandId::new());
    let first = commands.execute(add.clone()).await.unwrap();
    commands.execute(Add::one("a", 5)).await.unwrap();
    let again = commands.execute(add).await.unwrap();
    assert_eq!(again, CommandReceipt { was_repeated: true, ..first });
    assert_eq!((store.appends(), sum(&commands, "a").await), (2, 8));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_command_is_answered_also_when_it_would_be_rejected_now() {
    let (commands, _) = handler();
    let add = Add::one("a", 60).under(CommandId::new());
    let first = commands.execute(add.clone()).await.unwrap();
    assert!(commands.execute(Add::one("a", 60)).await.unwrap_err().rejection().is_some());
    assert_eq!(commands.execute(add).await.unwrap().version, first.version);
}

/// Its caller gave up and asks again while the first run still waits in the same line.
#[tokio::test(start_paused = true)]
async fn a_second_run_in_the_turn_of_the_first_is_answered_and_not_decided_on_what_that_did() {
    for is_warm in [false, true] {
        let (commands, _) = handler();
        if is_warm {
            commands.execute(Add::one("a", 1)).await.unwrap();
        }
        let add = Add::one("a", 60).under(CommandId::new());
        let runs = futures::join!(
            commands.execute(add.clone()),
            commands.execute(add),
            commands.execute(Add::one("a", 1))
        );
        let (first, again, other) = (runs.0.unwrap(), runs.1.unwrap(), runs.2.unwrap());
        assert_eq!(again, CommandReceipt { was_repeated: true, ..first });
        assert!(!other.was_repeated);
        assert_eq!(sum(&commands, "a").await, 61 + u64::from(is_warm));
    }
}

/// The same where another command fills the append in between.
#[tokio::test(start_paused = true)]
async fn a_second_run_behind_a_full_append_is_looked_up_again() {
    let (commands, store) = handler();
    let id = CommandId::new();
    let large = |id| Add::each("a", [0; 600]).under(id);
    let runs = futures::join!(
        commands.execute(large(id)),
        commands.execute(large(CommandId::new())),
        commands.execute(large(id))
    );
    assert_eq!(runs.2.unwrap(), CommandReceipt { was_repeated: true, ..runs.0.unwrap() });
    assert!(!runs.1.unwrap().was_repeated);
    assert_eq!((recorded(&store, "a").await.len(), store.appends()), (1_200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_command_is_recognised_by_another_handler() {
    let (commands, store) = handler();
    let add = Add::one("a", 60).under(CommandId::new());
    commands.execute(add.clone()).await.unwrap();
    assert!(CommandHandler::new(store).execute(add).await.unwrap().was_repeated);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_for_something_else_on_the_same_aggregate_is_a_repetition() {
    let (commands, _) = handler();
    let id = CommandId::new();
    commands.execute(Add::one("a", 1).under(id)).await.unwrap();
    assert!(commands.execute(Add::one("a", 50).under(id)).await.unwrap().was_repeated);
    assert_eq!(sum(&commands, "a").await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_after_the_commit_is_settled_by_the_same_command() {
    let (commands, store) = handler();
    let add = Add::one("a", 60).under(CommandId::new());
    store.fail_next_append(Fault::LostAfterCommit);
    let error = commands.execute(add.clone()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    store.append(from_others("a", [1])).await.unwrap();
    let again = commands.execute(add).await.unwrap();
    assert!(again.was_repeated);
    assert_eq!((again.version.get(), again.position.get()), (1, 1), "where it took effect");
    assert_eq!(sum(&commands, "a").await, 61);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_before_the_commit_is_settled_by_the_same_command() {
    let (commands, store) = handler();
    let add = Add::one("a", 60).under(CommandId::new());
    store.fail_next_append(Fault::LostBeforeCommit);
    commands.execute(add.clone()).await.unwrap_err();
    assert!(!commands.execute(add).await.unwrap().was_repeated);
    assert_eq!(sum(&commands, "a").await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_command_without_an_id_is_settled_under_the_one_that_the_error_names() {
    let (commands, store) = handler();
    store.fail_next_append(Fault::LostAfterCommit);
    let error = commands.execute(Add::one("a", 60)).await.unwrap_err();
    let CommandError::Append { command, .. } = error else { panic!("{error:?}") };
    let metadata = Metadata::default().with_command(command);
    let again = commands.execute_with(Add::one("a", 60), metadata).await.unwrap();
    assert!(again.was_repeated);
    assert_eq!(again.command, command);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_execution_is_settled_by_the_same_command() {
    let (commands, store) = handler();
    let add = Add::one("a", 60).under(CommandId::new());
    store.fail_next_append(Fault::Delay(Duration::from_secs(60)));
    let patience = Duration::from_secs(1);
    tokio::time::timeout(patience, commands.execute(add.clone())).await.unwrap_err();
    commands.execute(add.clone()).await.unwrap();
    assert!(commands.execute(add).await.unwrap().was_repeated);
    assert_eq!(sum(&commands, "a").await, 60);
}

#[tokio::test(start_paused = true)]
async fn another_run_that_emitted_something_else_at_the_same_moment_was_the_first() {
    let (commands, store) = handler();
    let id = CommandId::new();
    let events = [Added { by: 3, seen: 0 }, Added { by: 4, seen: 0 }];
    let events = new_events(&events, id, &Metadata::default().with_command(id)).unwrap();
    let other_run = Append::to(stream("a"), ExpectedVersion::NoStream, events[..1].to_vec());
    store.fail_next_append(Fault::OvertakenBy(other_run));
    let receipt = commands.execute(Add::each("a", [1, 2]).under(id)).await.unwrap();
    assert!(receipt.was_repeated);
    assert_eq!((receipt.version.get(), store.appends()), (1, 1));
    assert_eq!(sum(&commands, "a").await, 3);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_was_used_on_another_aggregate_is_refused_at_once() {
    let (commands, store) = handler();
    let id = CommandId::new();
    commands.execute(Add::one("a", 1).under(id)).await.unwrap();
    let begin = tokio::time::Instant::now();
    let error = commands.execute(Add::one("b", 1).under(id)).await.unwrap_err();
    let CommandError::IdTaken { command, stream: refused, event } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((*command, refused), (id, &stream("b")));
    assert_eq!(*event, EventId::of_command(id, 0));
    assert!(!error.is_retryable());
    assert!(error.to_string().contains(&id.to_string()), "{error}");
    assert_eq!((store.appends(), begin.elapsed()), (2, Duration::ZERO), "no second try");
    assert_eq!(sum(&commands, "b").await, 0);
    assert_eq!(sum(&commands, "a").await, 1);
}
