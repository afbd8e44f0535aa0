//! Commands to one aggregate that meet at its desk: decided one after another, committed together.

use futures::future::join_all;

use super::tally::LIMIT;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use super::*;
use crate::{MasterKeys, MemoryKeyStore, SealedLog, SecretKey, Subject, Vault};

/// Starts `count` commands at once. On a test's single thread all of them are in line before the
/// desk is served, so they share its first turn.
async fn add_ones(
    commands: &CommandHandler,
    count: usize,
) -> Vec<Result<CommandReceipt, TallyError>> {
    join_all((0..count).map(|_| commands.execute(Add::one("a", 1)))).await
}

fn versions(receipts: &[Result<CommandReceipt, TallyError>]) -> Vec<u64> {
    receipts.iter().map(|it| it.as_ref().unwrap().version.get()).collect()
}

#[tokio::test(start_paused = true)]
async fn commands_in_line_commit_together_in_the_order_of_their_coming() {
    let (commands, store) = handler();
    let receipts = add_ones(&commands, 100).await;
    assert_eq!(versions(&receipts), (1..=100).collect::<Vec<_>>());
    assert_eq!(store.appends(), 1);
    let seen: Vec<_> = recorded(&store, "a").await;
    let seen = seen.iter().map(|event| one(event).seen);
    assert!(seen.eq(0..100), "each was decided on what the ones before it left");
}

#[tokio::test(start_paused = true)]
async fn a_warm_aggregate_costs_one_append_and_no_read() {
    let (commands, store) = handler();
    commands.execute(Add::one("a", 1)).await.unwrap();
    let (reads, appends) = (store.reads(), store.appends());
    commands.execute(Add::one("a", 1)).await.unwrap();
    assert_eq!((store.reads() - reads, store.appends() - appends), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_among_the_others_is_made_on_what_was_committed() {
    let (commands, _) = handler();
    let amounts = [60, 60, 30, 60];
    let outcomes = join_all(amounts.map(|amount| commands.execute(Add::one("a", amount)))).await;
    let rejected: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().err().and_then(|no| no.rejection()))
        .collect();
    assert_eq!(rejected, [None, Some(&TooMuch { seen: 60 }), None, Some(&TooMuch { seen: 90 })]);
    assert_eq!(sum(&commands, "a").await, 90);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_on_a_warm_state_is_checked_against_the_log() {
    let (commands, store) = handler();
    commands.execute(Add::one("a", 60)).await.unwrap();
    // In another process, on the same log.
    store.append(from_others("a", [7])).await.unwrap();
    let refused = commands.execute(Add::one("a", 50)).await.unwrap_err();
    assert_eq!(refused.rejection(), Some(&TooMuch { seen: 67 }), "the latest, not the warm state");
}

#[tokio::test(start_paused = true)]
async fn if_somebody_else_comes_first_all_are_decided_again() {
    let (commands, store) = handler();
    store.fail_next_append(Fault::OvertakenBy(from_others("a", [7])));
    let receipts = add_ones(&commands, 10).await;
    assert!(receipts.iter().all(Result::is_ok));
    let events: Vec<Added> = recorded(&store, "a").await.iter().map(one).collect();
    assert_eq!(events.iter().map(|event| event.by).sum::<u64>(), 17);
    let mut before = 0;
    for event in events.iter().filter(|event| event.by == 1) {
        assert!(event.seen == before || event.seen == before + 7, "decided on committed state");
        before = event.seen + 1;
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_acknowledged_by_a_commit_that_failed() {
    let (commands, store) = handler();
    store.fail_next_append(Fault::Unavailable);
    let outcomes = add_ones(&commands, 20).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().is_retryable()));
    assert_eq!(sum(&commands, "a").await, 0);
    assert!(add_ones(&commands, 20).await.iter().all(Result::is_ok));
    assert_eq!(sum(&commands, "a").await, 20);
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_behind_the_commit_is_settled_for_each_by_its_id() {
    let (commands, store) = handler();
    store.fail_next_append(Fault::LostAfterCommit);
    let ids: Vec<_> = (0..10).map(|_| CommandId::new()).collect();
    let run = || join_all(ids.iter().map(|id| commands.execute(Add::one("a", 1).under(*id))));
    let first = run().await;
    assert!(first.iter().all(|outcome| outcome.as_ref().unwrap_err().is_retryable()));
    let again = run().await;
    assert!(again.iter().all(|outcome| outcome.as_ref().unwrap().was_repeated));
    assert_eq!(sum(&commands, "a").await, 10);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_taken_elsewhere_fails_its_own_command_only() {
    let (commands, _) = handler();
    let taken = CommandId::new();
    commands.execute(Add::one("b", 1).under(taken)).await.unwrap();
    let others = add_ones(&commands, 5);
    let (others, refused) = futures::join!(others, commands.execute(Add::one("a", 1).under(taken)));
    assert!(others.iter().all(Result::is_ok));
    assert!(matches!(refused, Err(CommandError::IdTaken { .. })));
    assert_eq!(sum(&commands, "a").await, 5);
}

#[tokio::test(start_paused = true)]
async fn more_than_a_line_holds_waits_its_turn() {
    let (commands, _) = handler();
    let nothing = (0..3_000).map(|_| commands.execute(Add::each("a", [])));
    let outcomes = join_all(nothing).await;
    assert!(outcomes.iter().all(Result::is_ok));
}

/// Who has come and gone is carried out if there was room in the line, and leaves nothing behind if not.
#[tokio::test(start_paused = true)]
async fn a_line_holds_a_thousand_commands_and_takes_a_hundred_and_twenty_eight_at_once() {
    let (commands, store) = handler();
    // All in one step of the test, before the line is served for the first time.
    let come = |_| Box::pin(tokio::task::unconstrained(commands.execute(Add::one("a", 0))));
    let mut gone: Vec<_> = (0..2_000).map(come).collect();
    for command in &mut gone {
        assert!(futures::poll!(command).is_pending());
    }
    drop(gone);
    commands.execute(Add::one("a", 0)).await.unwrap();
    assert_eq!(recorded(&store, "a").await.len(), 1_024 + 1);
    assert_eq!(store.appends(), 1_024 / 128 + 1);
}

/// Whoever waits in line comes to a state that was young enough when they came.
#[tokio::test(start_paused = true)]
async fn a_state_that_grew_too_old_while_a_command_waited_is_read_again() {
    let (commands, store) = handler();
    let commands = commands.with_warm_aggregates_for(Duration::from_secs(60));
    commands.execute(Add::one("a", 1)).await.unwrap();
    tokio::time::advance(Duration::from_secs(59)).await;
    let reads = store.reads();
    store.fail_next_append(Fault::Delay(Duration::from_secs(10)));
    let mut slow = Box::pin(commands.execute(Add::one("a", 1)));
    assert!(futures::poll!(&mut slow).is_pending());
    while store.appends() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.reads(), reads, "59 seconds are no minute");
    let (slow, waited) = futures::join!(slow, commands.execute(Add::one("a", 1)));
    assert!(slow.is_ok() && waited.is_ok());
    assert!(store.reads() > reads, "the second one began after 69 seconds");
}

/// A runtime of its own, as a worker thread of an application has.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_desk_whose_runtime_has_ended_is_served_from_another() {
    let (commands, store) = handler();
    let hour = Duration::from_secs(3_600);
    store.fail_next_append(Fault::Delay(hour));
    let (first, waiting) = (runtime(), runtime());
    let stuck = first.spawn({
        let commands = commands.clone();
        async move { commands.execute(Add::one("a", 1)).await }
    });
    first.block_on(async {
        while store.appends() == 0 {
            tokio::task::yield_now().await
        }
    });
    let mut lost = Box::pin(commands.execute(Add::one("a", 2)));
    waiting.block_on(async { assert!(futures::poll!(&mut lost).is_pending()) });
    drop((stuck, first));
    let error = waiting.block_on(lost).unwrap_err();
    assert!(error.is_retryable(), "it may be settled: {error:?}");
    let again = async {
        let again = commands.execute(Add::one("a", 3));
        tokio::time::timeout(Duration::from_secs(60), again).await
    };
    let next = waiting.block_on(again);
    assert!(next.expect("the desk is served").is_ok());
}

#[test]
fn a_desk_that_was_asked_outside_of_a_runtime_is_served_within_one() {
    let (commands, _) = handler();
    let outside = catch_unwind(AssertUnwindSafe(|| {
        let mut command = Box::pin(commands.execute(Add::one("a", 1)));
        command.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }));
    assert!(outside.is_err(), "tokio says that there is no runtime");
    let within = runtime().block_on(commands.execute(Add::one("a", 2)));
    assert!(within.is_ok(), "{within:?}");
}

/// One id that was used elsewhere costs the others of its turn one load, not one each.
#[tokio::test(start_paused = true)]
async fn a_command_that_is_refused_makes_nobody_load_the_stream_again_and_again() {
    let (commands, store) = handler();
    commands.execute(Add::each("a", [0; 600])).await.unwrap();
    let taken = CommandId::new();
    commands.execute(Add::one("b", 0).under(taken)).await.unwrap();
    commands.drop_warm_aggregates();
    let before = store.reads();
    let (others, refused) = futures::join!(
        join_all((0..50).map(|_| commands.execute(Add::one("a", 0)))),
        commands.execute(Add::one("a", 0).under(taken))
    );
    assert!(others.iter().all(Result::is_ok) && refused.is_err());
    let finds = 51;
    assert!(store.reads() - before < finds + 20, "{} reads", store.reads() - before);
}

#[derive(Clone, Debug, Default)]
struct Touchy(u64);

#[derive(Clone)]
struct Touch {
    key: String,
    panics: bool,
}

impl Aggregate for Touchy {
    const CATEGORY: &'static str = "touchy";
    type Id = String;
    type Event = Added;
    type Rejection = TooMuch;
}

impl Evolve for Touchy {
    fn evolve(&mut self, event: &Added) {
        self.0 += event.by;
    }
}

impl Command for Touch {
    type Aggregate = Touchy;

    fn target(&self) -> &String {
        &self.key
    }
}

impl Decide<Touch> for Touchy {
    fn decide(&self, command: Touch, _: &DecisionContext) -> crate::Decision<Self> {
        assert!(!command.panics, "touched the wrong way");
        crate::emit(Added { by: 1, seen: self.0 })
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_panics_fails_its_own_caller_only() {
    let (commands, store) = handler();
    let touches = (0..9).map(|index| {
        let commands = commands.clone();
        let touch = Touch { key: "a".to_owned(), panics: index == 4 };
        tokio::spawn(async move { commands.execute(touch).await })
    });
    let mut panics = 0;
    for ended in join_all(touches).await {
        match ended {
            Ok(outcome) => assert!(outcome.is_ok()),
            Err(error) => {
                let said = error.into_panic();
                assert_eq!(said.downcast_ref::<&str>(), Some(&"touched the wrong way"));
                panics += 1;
            }
        }
    }
    assert_eq!(panics, 1);
    let stream = stream_of::<Touchy>(&"a".to_owned()).unwrap();
    assert_eq!(store.read_stream(&stream, StreamVersion::EMPTY, 100).await.unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_command_one_aggregate_and_every_decision_sees_the_one_before() {
    let (commands, store) = handler();
    let adding = (0..LIMIT + 20).map(|_| {
        let commands = commands.clone();
        tokio::spawn(async move { commands.execute(Add::one("a", 1)).await })
    });
    let outcomes = join_all(adding).await;
    let done = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
    assert_eq!(done as u64, LIMIT, "exactly as many as fit");
    let events = recorded(&store, "a").await;
    let seen = events.iter().map(|event| one(event).seen);
    assert!(seen.eq(0..LIMIT));
}

/// How often a command to the tally "a" reads the log.
async fn reads_of_a_command(commands: &CommandHandler, store: &FaultyStore) -> usize {
    let reads = store.reads();
    commands.execute(Add::one("a", 1)).await.unwrap();
    store.reads() - reads
}

#[tokio::test(start_paused = true)]
async fn handlers_made_from_one_another_forget_together() {
    let (commands, store) = handler();
    let few = NonZeroUsize::MIN;
    let others = [
        commands.clone().with_warm_aggregates(few),
        commands.clone().with_warm_aggregates_for(Duration::from_secs(60)),
        commands.clone().with_clock(SystemClock),
    ];
    for other in others {
        reads_of_a_command(&other, &store).await;
        // Somebody else's append would be noticed: nobody else appends here.
        assert_eq!(reads_of_a_command(&other, &store).await, 0, "it is warm");
        commands.drop_warm_aggregates();
        assert!(reads_of_a_command(&other, &store).await > 0);
        assert_eq!(reads_of_a_command(&other, &store).await, 0);
        other.drop_warm_aggregates();
        assert!(reads_of_a_command(&commands, &store).await > 0);
    }
}

/// Told to the vault and to no handler.
#[tokio::test(start_paused = true)]
async fn a_warm_state_from_before_somebody_was_forgotten_is_not_used() {
    let master = MasterKeys::new("test", SecretKey::from_bytes([42; 32]));
    let vault = Vault::new(Arc::new(MemoryKeyStore::new()), master);
    let sealed = SealedLog::new(Arc::new(MemoryStore::new()), vault.clone());
    let store = Arc::new(FaultyStore::new(Arc::new(sealed)));
    let commands = CommandHandler::new(store.clone());
    reads_of_a_command(&commands, &store).await;
    assert_eq!(reads_of_a_command(&commands, &store).await, 0, "it is warm");
    vault.forget(&Subject::new("ann").unwrap()).await.unwrap();
    assert!(reads_of_a_command(&commands, &store).await > 0);
    assert_eq!(reads_of_a_command(&commands, &store).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_desk_in_use_forgets_as_well() {
    let (commands, store) = handler();
    let (a, log) = (stream("a"), &commands.store);
    let find =
        || commands.desks.desk::<Tally>(a.clone(), &a, log, &commands.clock, &commands.snapshots);
    commands.execute(Add::one("a", 1)).await.unwrap();
    let held = find();
    commands.drop_warm_aggregates();
    assert!(!Arc::ptr_eq(&held, &find()));
    let reads = store.reads();
    let add = Box::new(|state: &Tally, context: &DecisionContext| {
        state.decide(Add::one("a", 1), context)
    });
    let answer = held.submit(CommandId::new(), false, Metadata::default(), add).await;
    assert!(matches!(answer, Answer::Result(Ok(_))));
    assert!(store.reads() > reads);
}

#[tokio::test(start_paused = true)]
async fn a_handler_keeps_the_age_limit_when_it_is_told_how_many_to_keep() {
    let (commands, store) = handler();
    let commands = commands.with_warm_aggregates_for(Duration::from_secs(60));
    // No room is made in advance.
    let commands = commands.with_warm_aggregates(NonZeroUsize::MAX);
    reads_of_a_command(&commands, &store).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(reads_of_a_command(&commands, &store).await, 0);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(reads_of_a_command(&commands, &store).await > 0);
}

#[tokio::test(start_paused = true)]
async fn states_that_nobody_asks_for_go_from_memory_in_time() {
    let (commands, _) = handler();
    let commands = commands.with_warm_aggregates_for(Duration::from_secs(60));
    for index in 0..10 {
        commands.execute(Add::one(&format!("old-{index}"), 1)).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    for index in 0..3 {
        commands.execute(Add::one(&format!("new-{index}"), 1)).await.unwrap();
    }
    assert_eq!(commands.desks.count(), 3);
}

/// A layer that shows less than was appended.
struct Halving(MemoryStore);

#[async_trait::async_trait]
impl crate::StoreLayer for Halving {
    fn inner(&self) -> &dyn EventStore {
        &self.0
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = self.0.read_stream(stream, after, limit).await?;
        for event in &mut events {
            let Added { by, seen } = one(event);
            event.data = Added { by: by / 2, seen }.encode().unwrap();
        }
        Ok(events)
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_aggregate_is_decided_on_what_its_store_gives_back() {
    let commands = CommandHandler::new(Arc::new(Halving(MemoryStore::new())));
    commands.execute(Add::one("a", 60)).await.unwrap();
    assert_eq!(sum(&commands, "a").await, 30);
    commands.execute(Add::one("a", 70)).await.expect("30 and 70 are no more than the limit");
    let refused = commands.execute(Add::one("a", 40)).await.unwrap_err();
    assert_eq!(refused.rejection(), Some(&TooMuch { seen: 65 }));
}
