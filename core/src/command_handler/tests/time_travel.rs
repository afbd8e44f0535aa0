//! An aggregate as it was, with and without snapshots at hand.

use async_trait::async_trait;
use jiff::Timestamp;
use proptest::prelude::*;

use super::ledger::{Book, Ledger, Odd, ledger};
use super::*;
use crate::{Payload, SnapshotStore};

async fn at(commands: &CommandHandler, at: At) -> Loaded<Ledger> {
    commands.state_at::<Ledger>(&"a".to_owned(), at).await.unwrap()
}

async fn fourteen_events() -> (CommandHandler, Arc<Odd>) {
    let store = Arc::new(Odd::default());
    let commands = CommandHandler::new(store.clone());
    for amount in 0..7 {
        commands.execute(Book { to: "b".to_owned(), ..Book::one(1) }).await.unwrap();
        commands.execute(Book::each([amount, 1])).await.unwrap();
    }
    commands.snapshots_settled().await;
    (commands, store)
}

#[tokio::test(start_paused = true)]
async fn every_version_and_every_position_is_as_it_was() {
    let (commands, store) = fourteen_events().await;
    let events = store.events().await;
    for count in 0..=events.len() + 1 {
        let loaded = at(&commands, At::Version(StreamVersion::new(count as u64))).await;
        let prefix = &events[..count.min(events.len())];
        assert_eq!(loaded.state, Ledger::of(prefix), "version {count}");
        assert_eq!(loaded.version.get(), prefix.len() as u64);
    }
    let head = store.high_water_mark().await.unwrap().get();
    for position in 0..=head + 1 {
        let position = GlobalPosition::new(position);
        let until = events.iter().take_while(|event| event.position <= position).count();
        let loaded = at(&commands, At::Position(position)).await;
        assert_eq!(loaded.state, Ledger::of(&events[..until]), "position {position}");
    }
    assert!(commands.snapshot_counts().loaded > 0, "snapshots were of use");
    assert_eq!(commands.snapshot_counts().distrusted, 0);
}

/// Clocks that jump: the times of versions 1, 2, 3 … in seconds.
struct Times {
    inner: Arc<Odd>,
    seconds: Vec<i64>,
}

#[async_trait]
impl crate::StoreLayer for Times {
    fn inner(&self) -> &dyn EventStore {
        &*self.inner
    }

    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        EventStore::snapshots(&*self.inner)
    }

    async fn read_stream(
        &self,
        stream: &StreamId,
        after: StreamVersion,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut events = EventStore::read_stream(&*self.inner, stream, after, limit).await?;
        for event in &mut events {
            let second = self.seconds[event.version.get() as usize - 1];
            event.recorded_at = Timestamp::from_second(second).unwrap();
        }
        Ok(events)
    }
}

#[tokio::test(start_paused = true)]
async fn a_moment_ends_with_the_last_event_that_was_recorded_by_then() {
    let (_, inner) = fourteen_events().await;
    let seconds = vec![10, 20, 20, 30, 25, 40, 5, 50, 60, 70, 80, 90, 100, 110];
    let events = inner.events().await;
    let commands = CommandHandler::new(Arc::new(Times { inner, seconds }));
    for (second, versions) in
        [(4, 0), (5, 7), (10, 7), (29, 7), (39, 7), (40, 7), (50, 8), (65, 9), (999, 14)]
    {
        let moment = Timestamp::from_second(second).unwrap();
        let loaded = at(&commands, At::Moment(moment)).await;
        assert_eq!(loaded.state, Ledger::of(&events[..versions]), "at second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_without_events_was_never_different() {
    let commands = CommandHandler::new(Arc::new(Odd::default()));
    for when in [At::Version(StreamVersion::new(3)), At::Moment(Timestamp::now())] {
        let loaded = at(&commands, when).await;
        assert_eq!((loaded.state, loaded.version.get()), (Ledger::default(), 0));
    }
}

/// What happens to a ledger before it is loaded.
#[derive(Clone, Debug)]
enum Step {
    /// Somebody books this many events at once; who is warm, and who is cold.
    Book { events: usize, by: usize },
    /// The newest snapshot is spoilt in one way or another.
    Spoil(u8),
    /// All snapshots are lost.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..6_usize, 0..3_usize).prop_map(|(events, by)| Step::Book { events, by }),
        2 => (0..5_u8).prop_map(Step::Spoil),
        1 => Just(Step::Lose),
    ]
}

async fn take(step: Step, store: &Arc<Odd>, handlers: &mut [CommandHandler]) {
    match step {
        Step::Book { events, by } => {
            handlers[by].execute(Book::each(vec![0; events])).await.unwrap();
            handlers[by].snapshots_settled().await;
            // The last one forgets everything each time: another process.
            handlers[2] = CommandHandler::new(store.clone());
        }
        Step::Spoil(how) => {
            let Some(mut snapshot) = store.stored().await else { return };
            match how {
                0 => snapshot.data = Payload::from_value(&[1]).unwrap(),
                1 => snapshot.version = snapshot.version.plus(5),
                2 => snapshot.last_event = EventId::of_command(CommandId::new(), 3),
                3 => snapshot.schema.version += 1,
                _ => snapshot.position = GlobalPosition::START,
            }
            store.keep(snapshot).await;
        }
        Step::Lose => store.inner.delete_snapshots(&ledger()).await.unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_snapshot_and_its_tail_are_the_whole_history(
        steps in prop::collection::vec(step(), 1..24),
        looks in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Arc::new(Odd::default());
            let mut handlers: Vec<_> =
                (0..3).map(|_| CommandHandler::new(store.clone())).collect();
            for step in steps {
                take(step, &store, &mut handlers).await;
                let events = store.events().await;
                let handlers = [&handlers[0], &CommandHandler::new(store.clone())];
                for handler in handlers {
                    let loaded = handler.load::<Ledger>(&"a".to_owned()).await.unwrap();
                    assert_eq!(loaded.state, Ledger::of(&events));
                    assert_eq!(loaded.version.get(), events.len() as u64);
                }
                for look in &looks {
                    let count = look.index(events.len() + 1);
                    let then = at(handlers[1], At::Version(StreamVersion::new(count as u64))).await;
                    assert_eq!(then.state, Ledger::of(&events[..count]));
                }
            }
        });
    }
}
