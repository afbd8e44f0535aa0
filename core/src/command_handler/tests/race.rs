//! Many commands at once. The same race is run on a store that ignores what appends expect, to
//! show that the check would notice.

use async_trait::async_trait;
use futures::future::join_all;

use super::tally::LIMIT;
use super::*;
use crate::Appended;

/// Enough for every round to have a loser; below [`MAX_ATTEMPTS`], so that nobody has to give up.
const RACERS: u64 = 9;

/// A tally whose every decision was made on exactly the state before it, and which kept its limit.
fn check(events: &[RecordedEvent]) -> Result<(), String> {
    let mut sum = 0;
    for event in events {
        let added = one(event);
        if added.seen != sum {
            return Err(format!("at {sum}, decided on {}", added.seen));
        }
        sum += added.by;
    }
    if sum > LIMIT { Err(format!("{sum} passes the limit")) } else { Ok(()) }
}

/// Starts every racer before the first one appends: all of them decide on the same state.
async fn race(store: Arc<dyn EventStore>) -> Vec<Result<CommandReceipt, TallyError>> {
    let behind_a_pause = Arc::new(FaultyStore::new(store));
    for _ in 0..RACERS {
        behind_a_pause.fail_next_append(Fault::Delay(Duration::from_millis(1)));
    }
    // A handler each, as processes have: commands of one handler would take turns.
    let racing = (0..RACERS).map(|_| {
        let commands = CommandHandler::new(behind_a_pause.clone());
        async move { commands.execute(Add::one("a", 12)).await }
    });
    join_all(racing).await
}

#[tokio::test(start_paused = true)]
async fn commands_that_race_are_decided_one_after_the_other() {
    let store = Arc::new(MemoryStore::new());
    let outcomes = race(store.clone()).await;
    let events = store.read_stream(&stream("a"), StreamVersion::EMPTY, 100).await.unwrap();
    assert_eq!(check(&events), Ok(()));
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), events.len()), (8, 8), "eight fit below the limit");
    for no in lost {
        assert_eq!(no.unwrap_err().rejection(), Some(&TooMuch { seen: 96 }));
    }
}

#[tokio::test(start_paused = true)]
async fn the_race_without_the_guard_is_noticed() {
    let store = Arc::new(Unguarded(MemoryStore::new()));
    let outcomes = race(store.clone()).await;
    assert!(outcomes.iter().all(Result::is_ok), "nobody is told");
    let events = store.read_stream(&stream("a"), StreamVersion::EMPTY, 100).await.unwrap();
    assert_eq!(check(&events), Err("at 12, decided on 0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn one_command_that_runs_many_times_at_once_takes_effect_once() {
    let (commands, store) = handler();
    let other_handler = CommandHandler::new(store.clone());
    let add = Add::each("a", [1, 2]).under(CommandId::new());
    for round in 0..20 {
        store.fail_next_append(Fault::Delay(Duration::from_millis(round % 3)));
    }
    let runs = (0..20).map(|run| {
        let commands = if run % 2 == 0 { &commands } else { &other_handler };
        commands.execute(add.clone())
    });
    let receipts: Vec<_> = join_all(runs).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(receipts.iter().filter(|it| !it.was_repeated).count(), 1);
    for receipt in &receipts {
        assert_eq!((receipt.version.get(), receipt.position.get()), (2, 2));
    }
    assert_eq!(recorded(&store, "a").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_race_on_threads_as_well() {
    let (commands, store) = handler();
    let ids: Vec<_> = (0..8).map(|_| CommandId::new()).collect();
    let runs = (0..64).map(|run| {
        let (commands, id) = (commands.clone(), ids[run % ids.len()]);
        tokio::spawn(async move { commands.execute(Add::one("a", 1).under(id)).await })
    });
    for run in join_all(runs).await {
        match run.unwrap() {
            // So many at once may give up, and change nothing by that.
            Ok(_) | Err(CommandError::Contended { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    for id in ids {
        commands.execute(Add::one("a", 1).under(id)).await.unwrap();
    }
    let events = recorded(&store, "a").await;
    assert_eq!((check(&events), events.len()), (Ok(()), 8));
}

/// A store as a handler without a guard would use it: every append goes through.
struct Unguarded(MemoryStore);

#[async_trait]
impl crate::StoreLayer for Unguarded {
    fn inner(&self) -> &dyn EventStore {
        &self.0
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let part = append.streams()[0].clone();
        self.0.append(Append::to(part.stream, ExpectedVersion::Any, part.events)).await
    }
}
