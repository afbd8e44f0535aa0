//! Snapshots save reads, and never decide anything.

use super::ledger::{Book, Ledger, Odd, Oddity, ledger};
use super::*;
use crate::{Payload, Snapshot, SnapshotStore};

fn odd() -> (CommandHandler, Arc<Odd>) {
    let store = Arc::new(Odd::default());
    (CommandHandler::new(store.clone()), store)
}

/// Another process: it has nothing warm.
fn cold(store: &Arc<Odd>) -> CommandHandler {
    CommandHandler::new(store.clone())
}

async fn state(commands: &CommandHandler) -> Loaded<Ledger> {
    commands.load::<Ledger>(&"a".to_owned()).await.unwrap()
}

/// Books 1 as often as said, one command each.
async fn book(commands: &CommandHandler, times: usize) {
    for _ in 0..times {
        commands.execute(Book::one(1)).await.unwrap();
    }
    commands.snapshots_settled().await;
}

/// Whatever became of the snapshots: what a handler loads is what the log says.
async fn check(store: &Arc<Odd>) {
    let events = store.events().await;
    let loaded = state(&cold(store)).await;
    assert_eq!(loaded.state, Ledger::of(&events));
    assert_eq!(loaded.version.get(), events.len() as u64);
    assert_eq!(loaded.position, events.last().unwrap().position);
}

#[tokio::test(start_paused = true)]
async fn a_cold_aggregate_is_read_from_its_snapshot_on() {
    let (commands, store) = odd();
    book(&commands, 5).await;
    assert_eq!(commands.snapshot_counts().saved, 2);
    assert_eq!(store.stored().await.unwrap().version.get(), 4);
    store.read_behind.lock().unwrap().clear();
    let other = cold(&store);
    other.execute(Book::one(7)).await.unwrap();
    assert_eq!(*store.read_behind.lock().unwrap(), [3], "its own event, and what is behind it");
    assert_eq!(other.snapshot_counts().loaded, 1);
    check(&store).await;
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_asks_for_none_is_not_kept() {
    let (commands, store) = handler();
    for _ in 0..5 {
        commands.execute(Add::one("a", 1)).await.unwrap();
    }
    commands.snapshots_settled().await;
    assert_eq!(commands.snapshot_counts(), SnapshotCounts::default());
    assert_eq!(sum(&CommandHandler::new(store), "a").await, 5);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_believed_is_read_anew_and_replaced_or_passed_over() {
    let spoilt: [fn(&mut Snapshot); 6] = [
        |it| it.data = Payload::from_value(&"no ledger").unwrap(),
        |it| it.version = StreamVersion::new(99),
        |it| it.version = StreamVersion::EMPTY,
        |it| it.last_event = EventId::of_command(CommandId::new(), 0),
        |it| it.position = GlobalPosition::new(77),
        |it| {
            // As after a restore: the log has lost the event, and gave its version to another one.
            it.last_event = EventId::of_command(CommandId::new(), 0);
            it.data = Payload::from_value(&Ledger { amounts: vec![50, 50] }).unwrap();
        },
    ];
    for (index, spoil) in spoilt.into_iter().enumerate() {
        let (commands, store) = odd();
        book(&commands, 4).await;
        let mut snapshot = store.stored().await.unwrap();
        spoil(&mut snapshot);
        store.inner.delete_snapshots(&ledger()).await.unwrap();
        store.keep(snapshot).await;
        check(&store).await;
        let other = cold(&store);
        book(&other, 1).await;
        assert_eq!(other.snapshot_counts().distrusted, 1, "{index}");
        let events = store.events().await;
        let stored = store.stored_at(events.len() as u64).await.unwrap();
        assert_eq!(stored.last_event, events[4].id, "{index}: a true one took its place");
        assert_eq!(stored.data.to_value::<Ledger>().unwrap(), Ledger::of(&events), "{index}");
        // One above the stream's end is passed over.
        store.read_behind.lock().unwrap().clear();
        check(&store).await;
        assert_eq!(store.read_behind.lock().unwrap().last(), Some(&4), "{index}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_another_shape_is_left_alone() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    let mut snapshot = store.stored().await.unwrap();
    store.inner.delete_snapshots(&ledger()).await.unwrap();
    snapshot.schema.version = 2;
    snapshot.data = Payload::from_value(&"of a newer program").unwrap();
    store.keep(snapshot).await;
    check(&store).await;
    let other = cold(&store);
    book(&other, 1).await;
    assert_eq!((other.snapshot_counts().distrusted, other.snapshot_counts().saved), (0, 1));
}

/// The checks above can fail: a state that is wrong and bears the right event's id gets through.
#[tokio::test(start_paused = true)]
async fn a_forged_state_would_be_noticed() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    let mut snapshot = store.stored().await.unwrap();
    snapshot.data = Payload::from_value(&Ledger { amounts: vec![1, 1, 1, 50] }).unwrap();
    store.keep(snapshot).await;
    let loaded = state(&cold(&store)).await;
    assert_ne!(loaded.state, Ledger::of(&store.events().await));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_store_that_hangs_delays_no_answer() {
    let (commands, store) = odd();
    store.saves.lock().unwrap().push_back(Oddity::Hang);
    let begin = tokio::time::Instant::now();
    commands.execute(Book::each([1, 1])).await.unwrap();
    // The save has begun, and hangs; commands go on beside it.
    store.save_begins.notified().await;
    for _ in 0..20 {
        commands.execute(Book::each([1, 1])).await.unwrap();
    }
    assert_eq!(begin.elapsed(), Duration::ZERO);
    commands.snapshots_settled().await;
    assert_eq!((commands.snapshot_counts().failed, commands.snapshot_counts().saved), (1, 0));
    // It is left alone for a while, and tried again afterwards.
    commands.execute(Book::each([1, 1])).await.unwrap();
    assert!(commands.snapshot_counts().dropped > 0);
    tokio::time::advance(Duration::from_secs(11)).await;
    book(&commands, 2).await;
    assert_eq!(commands.snapshot_counts().saved, 1);
    check(&store).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_hangs_costs_half_a_second_once() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    store.loads.lock().unwrap().extend([Oddity::Hang, Oddity::Hang]);
    let (other, begin) = (cold(&store), tokio::time::Instant::now());
    assert_eq!(state(&other).await.version.get(), 4);
    assert_eq!(begin.elapsed(), Duration::from_millis(500));
    assert_eq!(state(&other).await.version.get(), 4);
    assert_eq!(begin.elapsed(), Duration::from_millis(500), "now it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_store_that_fails_fails_no_command() {
    for (load, save) in
        [(Oddity::Unavailable, Oddity::Unavailable), (Oddity::Corrupt(None), Oddity::Corrupt(None))]
    {
        let (commands, store) = odd();
        book(&commands, 4).await;
        store.loads.lock().unwrap().push_back(load);
        store.saves.lock().unwrap().push_back(save);
        let other = cold(&store);
        book(&other, 4).await;
        assert_eq!(other.snapshot_counts().loaded, 0);
        check(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_did_not_commit_leaves_no_snapshot() {
    let inner = Arc::new(Odd::default());
    let store = Arc::new(FaultyStore::new(inner.clone()));
    let commands = CommandHandler::new(store.clone());
    for fault in [Fault::Unavailable, Fault::LostBeforeCommit, Fault::Refused] {
        store.fail_next_append(fault);
        commands.execute(Book::each([1, 2, 3])).await.unwrap_err();
        commands.snapshots_settled().await;
        assert_eq!(inner.stored().await, None);
    }
    commands.execute(Book::each([4, 5])).await.unwrap();
    commands.snapshots_settled().await;
    let stored = inner.stored().await.unwrap();
    assert_eq!(stored.data.to_value::<Ledger>().unwrap(), Ledger::of(&inner.events().await));
}

#[tokio::test(start_paused = true)]
async fn a_command_is_recognised_behind_a_snapshot_by_every_handler() {
    let (commands, store) = odd();
    let add = Book::each([60, 1]).under(CommandId::new());
    let first = commands.execute(add.clone()).await.unwrap();
    book(&commands, 6).await;
    let again = CommandReceipt { was_repeated: true, ..first };
    assert_eq!(commands.execute(add.clone()).await.unwrap(), again, "warm");
    let other = cold(&store);
    assert_eq!(other.execute(add).await.unwrap(), again, "it would be rejected now");
    assert_eq!(other.snapshot_counts().loaded, 1);
    assert_eq!(store.events().await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_command_of_more_events_than_are_looked_up_at_once_is_recognised_by_its_last() {
    let (commands, store) = odd();
    let add = Book::each([0; 150]).under(CommandId::new());
    let first = commands.execute(add.clone()).await.unwrap();
    book(&commands, 2).await;
    let again = cold(&store).execute(add).await.unwrap();
    assert_eq!(again, CommandReceipt { was_repeated: true, ..first });
}

/// If the command were looked up before the snapshot is loaded, it would be rejected here, although
/// it was carried out.
#[tokio::test(start_paused = true)]
async fn a_command_that_gets_into_the_snapshot_while_it_is_loaded_is_recognised() {
    let (commands, store) = odd();
    let add = Book::each([60, 1]).under(CommandId::new());
    let (rival, same) = (commands.clone(), add.clone());
    store.loads.lock().unwrap().extend([Oddity::Behind(Box::pin(async move {
        rival.execute(same).await.unwrap();
        rival.snapshots_settled().await;
    }))]);
    let other = cold(&store);
    let receipt = other.execute(add).await.unwrap();
    assert_eq!((receipt.was_repeated, receipt.version.get()), (true, 2));
    assert_eq!(other.snapshot_counts().loaded, 1);
}

/// Another run of the same command came first, behind somebody else's events, and emitted as many
/// events: the store takes this run's append for a repetition.
#[tokio::test(start_paused = true)]
async fn what_was_only_thought_of_is_forgotten_when_another_run_came_first() {
    let inner = Arc::new(Odd::default());
    let store = Arc::new(FaultyStore::new(inner.clone()));
    let commands = CommandHandler::new(store.clone());
    commands.execute(Book::one(1)).await.unwrap();
    let (id, event) = (CommandId::new(), |by| Added { by, seen: 0 });
    let others = [NewEvent::from_event(&event(7)).unwrap()];
    let run = new_events(&[event(3)], id, &Metadata::default().with_command(id)).unwrap();
    let any = ExpectedVersion::Any;
    let overtaking = Append::to(ledger(), any, others.into_iter().chain(run).collect());
    store.fail_next_append(Fault::OvertakenBy(overtaking));
    let receipt = commands.execute(Book::one(9).under(id)).await.unwrap();
    assert_eq!((receipt.was_repeated, receipt.version.get()), (true, 3));
    // The warm state is the log's, and so is what is kept of it.
    let no = commands.execute(Book::one(99)).await.unwrap_err();
    assert_eq!(no.rejection(), Some(&TooMuch { seen: 11 }));
    commands.execute(Book::one(1)).await.unwrap();
    commands.snapshots_settled().await;
    assert!(inner.stored().await.is_some());
    check(&inner).await;
}

#[tokio::test(start_paused = true)]
async fn waiting_snapshots_are_bounded_and_newer_ones_replace_older_ones() {
    let (commands, store) = odd();
    store.saves.lock().unwrap().push_back(Oddity::Behind(Box::pin(async {
        tokio::time::sleep(Duration::from_secs(1)).await;
    })));
    commands.execute(Book::each([1, 1])).await.unwrap();
    store.save_begins.notified().await;
    for _ in 0..3 {
        for other in 0..70 {
            let book = Book { to: format!("other-{other}"), ..Book::each([1, 1]) };
            commands.execute(book).await.unwrap();
        }
    }
    commands.snapshots_settled().await;
    let counts = commands.snapshot_counts();
    assert_eq!((counts.saved, counts.dropped), (1 + 64, 3 * 6));
}

/// Another program may know it, and would never hear that this state lacks it.
#[tokio::test(start_paused = true)]
async fn a_state_that_passed_over_an_unknown_event_is_not_kept() {
    for (event_type, kept) in [("added.dropped", true), ("added.unknown", false)] {
        for is_warm in [true, false] {
            let (commands, store) = odd();
            book(&commands, 1).await;
            let other = vec![NewEvent::new(event_type, &()).unwrap()];
            store.append(Append::to(ledger(), ExpectedVersion::Any, other)).await.unwrap();
            let commands = if is_warm { commands } else { cold(&store) };
            book(&commands, 5).await;
            assert_eq!(store.stored().await.is_some(), kept, "{event_type}, {is_warm}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_truncated_stream_is_loaded_also_while_the_snapshot_store_is_left_alone() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    store.truncate_before(4).await;
    let other = cold(&store);
    store.loads.lock().unwrap().push_back(Oddity::Hang);
    // Another stream's snapshot is slow; from now on the snapshot store is left alone.
    other.execute(Book { to: "b".to_owned(), ..Book::one(1) }).await.unwrap();
    assert_eq!(state(&other).await.version.get(), 4);
    assert_eq!(other.execute(Book::one(1)).await.unwrap().version.get(), 5);
    // A patient load has more time than a hasty one.
    let slow = Box::pin(tokio::time::sleep(Duration::from_secs(2)));
    store.loads.lock().unwrap().push_back(Oddity::Behind(slow));
    assert_eq!(state(&other).await.version.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_stream_whose_snapshots_are_out_of_reach_may_be_loaded_later() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    store.truncate_before(4).await;
    for oddities in [[Oddity::Hang, Oddity::Unavailable], [Oddity::Unavailable, Oddity::Hang]] {
        store.loads.lock().unwrap().extend(oddities);
        let other = cold(&store);
        let error = other.execute(Book::one(1)).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        other.execute(Book::one(1)).await.unwrap();
    }
    // One that has no snapshot of this kind stays as it is.
    store.inner.delete_snapshots(&ledger()).await.unwrap();
    let error = cold(&store).execute(Book::one(1)).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_bad_snapshot_of_a_truncated_stream_gives_way_to_an_older_one_and_takes_none_along() {
    let (commands, store) = odd();
    book(&commands, 4).await;
    store.truncate_before(2).await;
    let mut bad = store.stored().await.unwrap();
    let mut of_another_state = bad.clone();
    of_another_state.schema.name = "Another".into();
    store.keep(of_another_state.clone()).await;
    bad.data = Payload::from_value(&"no ledger").unwrap();
    store.keep(bad).await;
    let other = cold(&store);
    book(&other, 2).await;
    let counts = other.snapshot_counts();
    assert_eq!((counts.distrusted, counts.loaded), (1, 1));
    assert_eq!(state(&cold(&store)).await.state, Ledger { amounts: vec![1; 6] });
    let (schema, newest) = (&of_another_state.schema, StreamVersion::new(u64::MAX));
    let left = store.inner.load_snapshot(&ledger(), schema, newest).await.unwrap();
    assert_eq!(left.as_ref(), Some(&of_another_state));
}

/// As many as there are, because there is nothing else to begin with.
#[tokio::test(start_paused = true)]
async fn a_truncated_stream_is_loaded_from_the_oldest_snapshot_that_can_be_understood() {
    let (commands, store) = odd();
    book(&commands, 2).await;
    let good = store.stored().await.unwrap();
    book(&commands, 10).await;
    store.truncate_before(2).await;
    store.keep(good.clone()).await;
    for at in [4, 6, 8, 10] {
        let data = Payload::from_value(&"no ledger").unwrap();
        store.keep(Snapshot { version: StreamVersion::new(at), data, ..good.clone() }).await;
    }
    let corrupt = || Oddity::Corrupt(Some(12));
    store.loads.lock().unwrap().extend([Oddity::Unavailable, corrupt()]);
    assert_eq!(state(&cold(&store)).await.state, Ledger { amounts: vec![1; 12] });
    // One that names a version above what was asked for is no reason to go on asking.
    store.inner.delete_snapshots(&ledger()).await.unwrap();
    store.loads.lock().unwrap().extend((0..9).map(|_| corrupt()));
    let error = cold(&store).execute(Book::one(1)).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert!(store.loads.lock().unwrap().len() >= 5, "each pass asks for two at most");
}

#[tokio::test(start_paused = true)]
async fn a_warm_state_behind_a_truncation_is_loaded_anew() {
    let (commands, store) = odd();
    book(&commands, 1).await;
    book(&cold(&store), 5).await;
    store.truncate_before(4).await;
    assert_eq!(commands.execute(Book::one(1)).await.unwrap().version.get(), 7);
    assert_eq!(state(&commands).await.state, Ledger { amounts: vec![1; 7] });
}
