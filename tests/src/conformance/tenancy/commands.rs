//! Chapter: commands and decisions within a tenant.

use std::num::NonZeroUsize;
use std::sync::Arc;

use highwater::{
    Aggregate, Boundaries, Command, CommandError, CommandHandler, CommandId, Decide, Decision,
    DecisionContext, DecisionModel, Event, EventQuery, Evolve, GlobalPosition, Highwater,
    InvalidTag, Metadata, RecordedEvent, Selection, TenantStore, emit,
};

use super::super::log::LogFactory;
use super::super::log::given::{everything, types};
use super::tenant;

/// What happens at a counter.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum CounterEvent {
    /// It was counted.
    #[event(name = "counter.counted")]
    Counted {
        /// Where.
        #[event(tag)]
        counter: String,
    },
}

/// It never says no.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

/// Counts.
#[derive(Aggregate, Default, Clone, Debug)]
#[aggregate(category = "counter", id = String, event = CounterEvent, rejection = Never)]
pub struct Counter {
    count: u64,
}

impl Evolve for Counter {
    fn evolve(&mut self, _: &CounterEvent) {
        self.count += 1;
    }
}

#[derive(Command, Clone)]
#[command(aggregate = Counter)]
struct Count {
    #[command(id)]
    counter: String,
}

impl Decide<Count> for Counter {
    fn decide(&self, command: Count, _: &DecisionContext) -> Decision<Self> {
        emit(CounterEvent::Counted { counter: command.counter })
    }
}

fn count() -> Count {
    Count { counter: "a".to_owned() }
}

async fn counted(commands: &CommandHandler) -> u64 {
    commands.load::<Counter>(&"a".to_owned()).await.unwrap().state.count
}

/// Derived event ids begin with the command's, which two tenants may choose alike.
pub async fn one_command_id_takes_effect_once_in_each_tenant(log: &dyn LogFactory) {
    let app = Highwater::builder(log.open().await).start().unwrap();
    let metadata = || Metadata::default().with_command(CommandId::from_key("http", "again"));
    for name in ["acme", "bolt"] {
        let first =
            app.for_tenant(&tenant(name)).commands().execute_with(count(), metadata()).await;
        assert!(!first.unwrap().was_repeated, "{name}");
    }
    for name in ["acme", "bolt"] {
        // Another process, which has nothing warm.
        let cold = Highwater::builder(log.open().await).start().unwrap();
        for app in [&app, &cold] {
            let handle = app.for_tenant(&tenant(name));
            let again = handle.commands().execute_with(count(), metadata()).await.unwrap();
            assert!(again.was_repeated, "{name}");
            assert_eq!((again.stream.as_str(), again.version.get()), ("counter-a", 1));
            assert_eq!(counted(handle.commands()).await, 1);
        }
        cold.shutdown().await;
    }
    app.shutdown().await;
}

/// The bound on what is kept is one over all tenants, and forgetting costs a read, no more.
pub async fn one_handler_serves_many_tenants_with_few_warm_aggregates(log: &dyn LogFactory) {
    let few = NonZeroUsize::new(4).unwrap();
    let commands = CommandHandler::new(log.open().await).with_warm_aggregates(few);
    for round in 1..=3 {
        for number in 0..12 {
            let of = commands.for_tenant(&tenant(&format!("t{number}")));
            let receipt = of.execute(count()).await.unwrap();
            assert_eq!((receipt.version.get(), receipt.was_repeated), (round, false));
        }
    }
    for number in 0..12 {
        assert_eq!(counted(&commands.for_tenant(&tenant(&format!("t{number}")))).await, 3);
    }
    assert_eq!(counted(&commands).await, 0);
}

/// How often a counter was counted, of whatever stream.
#[derive(Clone)]
struct Counted(u64);

impl DecisionModel for Counted {
    type Event = CounterEvent;

    fn query(&self) -> Result<EventQuery<CounterEvent>, InvalidTag> {
        Ok(EventQuery::all())
    }

    fn evolve(&mut self, _: &CounterEvent, _: &RecordedEvent) {
        self.0 += 1;
    }
}

/// A boundary on types alone, over a tenant's events.
pub async fn a_boundary_counts_its_own_tenant_only(log: &dyn LogFactory) {
    let app = Highwater::builder(log.open().await).start().unwrap();
    let decide = |seen: &Counted| {
        emit::<_, Never>(CounterEvent::Counted { counter: format!("after-{}", seen.0) })
    };
    for round in 0..3 {
        for name in ["acme", "bolt"] {
            let boundaries: Boundaries = app.for_tenant(&tenant(name)).boundaries();
            let receipt = boundaries.decide(Counted(0), decide).await.unwrap();
            assert_eq!(receipt.heads[0].stream.as_str(), format!("counter-after-{round}"));
        }
    }
    app.shutdown().await;
}

/// The component reads everybody's events, and its commands land where the event was.
pub async fn a_component_on_the_whole_log_answers_each_event_in_its_tenant(log: &dyn LogFactory) {
    let whole = log.open().await;
    let commands = CommandHandler::new(whole.clone());
    for name in ["acme", "bolt"] {
        commands.for_tenant(&tenant(name)).execute(count()).await.unwrap();
    }
    let first = everything(&*whole, &Selection::All).await;
    for event in &first {
        let of = commands.for_tenant(&event.stream.tenant().unwrap());
        let metadata = Metadata::caused_by(event);
        assert_eq!(
            metadata.tenant.as_deref(),
            event.stream.tenant().as_ref().map(|it| it.as_str())
        );
        assert_eq!(of.execute_with(count(), metadata).await.unwrap().version.get(), 2);
    }
    let all = everything(&*whole, &Selection::All).await;
    for (cause, effect) in first.iter().zip(&all[2..]) {
        assert_eq!((&effect.stream, effect.metadata.causation), (&cause.stream, Some(cause.id)));
        let tenant = effect.stream.tenant().unwrap();
        let store = TenantStore::new(whole.clone(), &tenant);
        let seen = everything(&store, &Selection::All).await;
        assert_eq!(types(&seen), ["counter.counted"; 2]);
        assert_eq!(seen[1].metadata.causation, Some(seen[0].id));
    }
}

/// Nobody climbs out of a tenant by asking for another.
pub async fn a_handler_within_a_tenant_gets_to_no_other(log: &dyn LogFactory) {
    let whole = log.open().await;
    let commands = CommandHandler::new(whole.clone());
    let acme = commands.for_tenant(&tenant("acme"));
    acme.for_tenant(&tenant("acme")).execute(count()).await.unwrap();
    let built = CommandHandler::new(Arc::new(TenantStore::new(whole.clone(), &tenant("acme"))));
    for within in [&acme, &built] {
        let error = within.for_tenant(&tenant("bolt")).execute(count()).await.unwrap_err();
        let is_refused = match &error {
            CommandError::Load { source, .. } => {
                matches!(source, highwater::ReadError::Refused { .. })
            }
            _ => false,
        };
        assert!(is_refused && !error.is_retryable(), "{error:?}");
    }
    // What was refused is no desk that others find.
    commands.for_tenant(&tenant("bolt")).execute(count()).await.unwrap();
    assert_eq!(counted(&acme).await, 1);
    let page = whole.read_all(&Selection::All, GlobalPosition::START, 9).await.unwrap();
    assert_eq!(page.events.len(), 2);
}
