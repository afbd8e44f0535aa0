//! Chapter: what commands make of snapshots.

use std::sync::Arc;

use futures::future::join_all;
use highwater::{
    CommandHandler, CommandId, CommandReceipt, EventStore, MasterKeys, MemoryKeyStore, Payload,
    SealedLog, SecretKey, SnapshotCounts, SnapshotError, Vault,
};

use super::given::{Account, account, deposit, loaded, save, snapshot, snapshots, stream, version};
use crate::conformance::log::LogFactory;
use crate::conformance::log::given::whole_stream;

async fn settled(commands: &CommandHandler) -> SnapshotCounts {
    commands.snapshots_settled().await;
    commands.snapshot_counts()
}

/// The state that a handler loads is the one that the log makes, up to its last event.
async fn assert_true(store: &dyn EventStore, commands: &CommandHandler) {
    let (loaded, events) = (loaded(commands).await, whole_stream(store, &account()).await);
    assert_eq!(loaded.state, Account::of(&events));
    assert_eq!(loaded.version.get(), events.len() as u64);
    assert_eq!(loaded.position, events.last().unwrap().position);
}

/// And kept as the aggregate asks for it.
pub async fn a_long_history_is_loaded_from_its_snapshot(log: &dyn LogFactory) {
    let store = log.open().await;
    let commands = CommandHandler::new(store.clone());
    for cents in 0..25 {
        commands.execute(deposit(&[cents])).await.unwrap();
    }
    let counts = settled(&commands).await;
    assert!(counts.saved > 0 && counts.failed == 0, "{counts:?}");
    let elsewhere = log.open().await;
    let other = CommandHandler::new(elsewhere.clone());
    assert_true(&*elsewhere, &other).await;
    let counts = other.snapshot_counts();
    assert_eq!((counts.loaded, counts.distrusted), (1, 0), "{counts:?}");
}

/// Commands of several processes on one aggregate, with a snapshot every other event: each was
/// decided on exactly the state before it, and whatever is loaded is true.
pub async fn of_a_crowd_every_state_is_the_one_that_the_log_makes(log: &dyn LogFactory) {
    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(log.open().await);
    }
    let running = processes.iter().map(|store| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..12_u64 {
                // Cold each time: every load goes by a snapshot, if there is one.
                let commands = CommandHandler::new(store.clone());
                let both = [deposit(&[1, round]), deposit(&[2])].map(|it| commands.execute(it));
                for outcome in join_all(both).await {
                    match outcome {
                        Ok(_) => {}
                        // So many at once may give up, and change nothing by that.
                        Err(error) => assert!(error.is_retryable(), "{error:?}"),
                    }
                }
                let counts = settled(&commands).await;
                assert_eq!(counts.distrusted, 0);
            }
        })
    });
    for process in join_all(running).await {
        process.unwrap();
    }
    let store = &*processes[0];
    assert_true(store, &CommandHandler::new(processes[0].clone())).await;
    let mut balance = 0;
    for recorded in whole_stream(store, &account()).await {
        let super::given::AccountEvent::Deposited { cents, seen } =
            recorded.decode().unwrap().into_one().unwrap();
        // The second event of a command has seen what the first one saw.
        let is_second = recorded.id == second_of(&recorded);
        assert_eq!(seen, if is_second { balance - 1 } else { balance }, "{}", recorded.version);
        balance += cents;
    }
}

fn second_of(recorded: &highwater::RecordedEvent) -> highwater::EventId {
    highwater::EventId::of_command(recorded.metadata.command.unwrap(), 1)
}

/// Warm, cold, and in another process; also where it would be rejected now.
pub async fn a_command_is_recognised_behind_a_snapshot_by_every_handler(log: &dyn LogFactory) {
    let store = log.open().await;
    let commands = CommandHandler::new(store.clone());
    let once = deposit(&[60, 1]).up_to(61).under(CommandId::new());
    let first = commands.execute(once.clone()).await.unwrap();
    for _ in 0..6 {
        commands.execute(deposit(&[5])).await.unwrap();
    }
    assert!(settled(&commands).await.saved > 0);
    let again = CommandReceipt { was_repeated: true, ..first };
    assert_eq!(commands.execute(once.clone()).await.unwrap(), again, "warm");
    let elsewhere = CommandHandler::new(log.open().await);
    assert_eq!(elsewhere.execute(once).await.unwrap(), again, "cold");
    assert_eq!(elsewhere.snapshot_counts().loaded, 1);
    assert_eq!(whole_stream(&*store, &account()).await.len(), 8);
}

/// Above the stream's end, of another event, or unreadable: the log is read, and the next snapshot is
/// true. One above the end is passed over from then on.
pub async fn a_snapshot_of_what_the_log_does_not_hold_is_not_believed(log: &dyn LogFactory) {
    let store = log.open().await;
    let commands = CommandHandler::new(store.clone());
    for _ in 0..3 {
        commands.execute(deposit(&[1, 2])).await.unwrap();
    }
    settled(&commands).await;
    let schema = highwater::StateSchema { name: "Account".into(), version: 1 };
    let find = || snapshots(&*store).load_snapshot(&ACCOUNT, &schema, version(u64::MAX));
    let good = find().await.unwrap().expect("a snapshot was kept");
    for spoilt in 0..3 {
        let mut bad = good.clone();
        match spoilt {
            0 => bad.version = version(999),
            1 => bad.last_event = highwater::EventId::of_command(CommandId::new(), 0),
            _ => bad.data = Payload::from_value(&"no account").unwrap(),
        }
        snapshots(&*store).delete_snapshots(&ACCOUNT).await.unwrap();
        save(&*store, &bad, 3).await;
        let other = CommandHandler::new(store.clone());
        other.execute(deposit(&[4])).await.unwrap();
        assert_true(&*store, &other).await;
        let counts = settled(&other).await;
        assert!(counts.distrusted > 0 && counts.saved == 1, "{spoilt}: {counts:?}");
        let healed = CommandHandler::new(store.clone());
        assert_true(&*store, &healed).await;
        let (counts, above) = (healed.snapshot_counts(), u64::from(spoilt == 0));
        assert_eq!((counts.loaded, counts.distrusted), (1 + above, above), "{spoilt}");
    }
}

/// Sealed text that was changed, as a vault over the store finds it. Those below it are loaded all the
/// same: a stream whose beginning is gone has nothing else.
pub async fn a_snapshot_that_can_not_be_understood_hides_none_below_it(log: &dyn LogFactory) {
    let master = MasterKeys::new("test", SecretKey::from_bytes([42; 32]));
    let vault = Vault::new(Arc::new(MemoryKeyStore::new()), master);
    let raw = log.open().await;
    let store = SealedLog::new(raw.clone(), vault);
    let of_a = stream("a");
    let (good, mut torn) = (snapshot(&of_a, 5), snapshot(&of_a, 7));
    save(&*raw, &good, 9).await;
    // It names a key that no key store has.
    let sealed = serde_json::json!({ "subject": "ann", "key": 1, "data": "AAAA" });
    torn.data = Payload::from_value(&serde_json::json!({ "$sealed": sealed })).unwrap();
    save(&*raw, &torn, 9).await;
    let load = |at_most| snapshots(&store).load_snapshot(&of_a, &good.schema, version(at_most));
    let error = load(u64::MAX).await.unwrap_err();
    let is_told =
        matches!(error, SnapshotError::Corrupt { version: Some(it), .. } if it == torn.version);
    assert!(is_told, "{error:?}");
    assert_eq!(load(6).await.unwrap().as_ref(), Some(&good));
}

static ACCOUNT: std::sync::LazyLock<highwater::StreamId> = std::sync::LazyLock::new(account);
