//! A clock and ids that a test holds, behind a command handler and behind a whole application.

use std::sync::Arc;
use std::time::Duration;

use highwater::sagas::{Saga, SagaManager, StepOutcome};
use highwater::testing::ManualIds;
use highwater::{
    Aggregate, Boundaries, Clock, Command, CommandHandler, CommandId, Decide, Decision,
    DecisionContext, DecisionModel, Event, EventId, EventQuery, Evolve, Highwater, InvalidTag,
    ManualClock, MemoryStore, RecordedEvent, Selection, TenantId, emit,
};
use highwater_tests::conformance::log::given::everything;
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, Serialize, Deserialize)]
enum BellEvent {
    #[event(name = "bell.rung")]
    Rung {
        #[event(tag)]
        bell: String,
        at: jiff::Timestamp,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("a bell never says no")]
struct Never;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "bell", id = String, event = BellEvent, rejection = Never)]
struct Bell;

#[derive(Command, Clone)]
#[command(aggregate = Bell)]
struct Ring(#[command(id)] String);

impl Decide<Ring> for Bell {
    fn decide(&self, ring: Ring, context: &DecisionContext) -> Decision<Self> {
        emit(BellEvent::Rung { bell: ring.0, at: context.now })
    }
}

impl Evolve for Bell {
    fn evolve(&mut self, _: &BellEvent) {}
}

/// All that there is to know of a bell.
#[derive(Clone)]
struct AnyBell;

impl DecisionModel for AnyBell {
    type Event = BellEvent;

    fn query(&self) -> Result<EventQuery<BellEvent>, InvalidTag> {
        Ok(EventQuery::all())
    }

    fn evolve(&mut self, _: &BellEvent, _: &RecordedEvent) {}
}

/// Rings twice, an hour apart, and once within a boundary; what stands in the log.
async fn rung() -> Vec<(EventId, Option<CommandId>, String)> {
    let (store, clock, ids) =
        (Arc::new(MemoryStore::new()), ManualClock::default(), ManualIds::new());
    let next = |ids: &ManualIds| {
        let ids = ids.clone();
        move || ids.command()
    };
    let commands =
        CommandHandler::new(store.clone()).with_clock(clock.clone()).with_command_ids(next(&ids));
    commands.execute(Ring("tower".to_owned())).await.expect("rung");
    clock.advance(Duration::from_secs(3600));
    // The aggregate is warm by now, and sees that the clock was moved all the same.
    commands.execute(Ring("tower".to_owned())).await.expect("rung");
    let boundaries = Boundaries::new(store.clone()).with_command_ids(next(&ids));
    let ring = |_: &AnyBell| {
        Ok::<_, Never>(vec![BellEvent::Rung { bell: "door".into(), at: clock.now() }])
    };
    boundaries.decide(AnyBell, ring).await.expect("rung");
    let log = everything(&*store, &Selection::All).await;
    let seen =
        |event: RecordedEvent| (event.id, event.metadata.command, event.data.as_json().to_owned());
    log.into_iter().map(seen).collect()
}

#[tokio::test]
async fn with_a_clock_and_ids_of_the_test_a_log_comes_out_the_same_every_time() {
    let first = rung().await;
    assert_eq!(first, rung().await);
    for (number, (event, command, _)) in (1..).zip(&first) {
        let expected = ManualIds::command_number(number);
        assert_eq!((*command, *event), (Some(expected), EventId::of_command(expected, 0)));
    }
    let told: Vec<bool> = ["1970-01-01T00:00:00Z", "1970-01-01T01:00:00Z", "1970-01-01T01:00:00Z"]
        .iter()
        .zip(&first)
        .map(|(time, (_, _, data))| data.contains(time))
        .collect();
    assert_eq!(told, [true; 3], "{first:?}");
}

/// Whenever the tower's bell rings, another one answers, half an hour later.
fn echo() -> SagaManager<()> {
    let saga = Saga::named("echo")
        .started_by(|event: &BellEvent, _| {
            let BellEvent::Rung { bell, at } = event;
            (bell == "tower").then(|| (at.as_second().to_string(), ()))
        })
        .call("wait", |(), _| std::future::pending::<StepOutcome<()>>())
        .compensate_with(|(), context| async move {
            let rung = context.commands.execute_with(
                Ring("echo".to_owned()),
                context.metadata.with_command(context.command),
            );
            match rung.await {
                Ok(_) => highwater::sagas::CompensationOutcome::undone(),
                Err(error) => highwater::sagas::CompensationOutcome::retry(error.to_string()),
            }
        })
        .deadline(Duration::from_secs(1_800));
    SagaManager::new(saga.build().expect("a valid saga"))
}

/// An application with a saga, a boundary and a tenant, and all that stands in its log afterwards.
async fn whole_application() -> Vec<RecordedEvent> {
    const LONG: Duration = Duration::from_secs(60);
    let (clock, ids) = (ManualClock::default(), ManualIds::new());
    let app = Highwater::builder(Arc::new(MemoryStore::with_clock(clock.clone())))
        .with_clock(clock.clone())
        .with_command_ids(move || ids.command())
        .host(echo())
        .start()
        .expect("it starts");
    let acme = TenantId::new("acme").expect("a valid name");
    let recorded = async |event_type: &str| {
        everything(&**app.store(), &Selection::types([event_type])).await.len()
    };
    let until = async |event_type: &str, count: usize| {
        let mut signal = app.store().signal();
        while recorded(event_type).await < count {
            signal.wait().await;
        }
    };
    for round in 1..=2 {
        app.execute(Ring("tower".to_owned())).await.expect("rung");
        // The saga waits by the application's clock: its step is overdue once that is moved.
        until("saga.step_started", round).await;
        clock.advance(Duration::from_secs(1_800));
        until("saga.compensated", round).await;
        app.for_tenant(&acme).execute(Ring("door".to_owned())).await.expect("rung");
        let ring = |_: &AnyBell| {
            Ok::<_, Never>(vec![BellEvent::Rung { bell: "door".into(), at: clock.now() }])
        };
        let decided = app.boundaries().decide(AnyBell, ring).await.expect("rung");
        app.caught_up("saga:echo", decided.position, LONG).await.expect("it reads on");
    }
    let log = everything(&**app.store(), &Selection::All).await;
    app.shutdown().await;
    log
}

#[tokio::test]
async fn a_whole_application_on_a_clock_and_ids_of_the_test_writes_the_same_log_every_time() {
    let first = whole_application().await;
    assert_eq!(first, whole_application().await, "envelopes and all");
    let at = |event: &RecordedEvent| event.recorded_at.to_string();
    assert_eq!(at(&first[0]), "1970-01-01T00:00:00Z");
    assert_eq!(at(&first[first.len() - 1]), "1970-01-01T01:00:00Z");
    let rung_by_command: Vec<_> =
        first.iter().filter(|it| it.event_type.as_str() == "bell.rung").collect();
    assert_eq!(rung_by_command.len(), 8);
    assert_eq!(rung_by_command[0].metadata.command, Some(ManualIds::command_number(1)));
}

#[test]
fn numbered_ids_are_all_different_and_sort_in_the_order_of_their_making() {
    let ids = ManualIds::new();
    let clone = ids.clone();
    let events = [ids.event(), clone.event(), ids.event()];
    assert!(events.is_sorted() && events[0] != events[1] && events[1] != events[2]);
    let commands = [clone.command(), ids.command()];
    assert!(commands.is_sorted() && commands[0] != commands[1]);
    assert_ne!(events[0].as_uuid(), commands[0].as_uuid());
}
