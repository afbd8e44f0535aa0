//! Chapter: a saga acts for the tenant whose event started it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use highwater::sagas::{
    CompensationOutcome, Saga, SagaControl, SagaControlError, SagaManager, SagaPhase, StepOutcome,
};
use highwater::{
    Aggregate, Command, CommandId, Decide, Decision, DecisionContext, Event, EventStore, Evolve,
    Highwater, Selection, StreamVersion, TenantId, TenantStore, emit,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore};

use super::super::log::LogFactory;
use super::super::log::given::{everything, types};
use super::tenant;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// What happens to a trip.
#[derive(Event, Clone, Debug, PartialEq)]
pub enum TripEvent {
    /// It was asked for.
    #[event(name = "trip.requested")]
    Requested {
        /// Which.
        trip: String,
    },
    /// It is no longer wanted.
    #[event(name = "trip.called_off")]
    CalledOff {
        /// Which.
        trip: String,
    },
    /// A seat was kept for it.
    #[event(name = "trip.seated")]
    Seated,
    /// The seat was given back.
    #[event(name = "trip.unseated")]
    Unseated,
    /// It is certain.
    #[event(name = "trip.confirmed")]
    Confirmed,
}

/// It never says no.
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

/// A trip.
#[derive(Aggregate, Default, Clone, Debug)]
#[aggregate(category = "trip", id = String, event = TripEvent, rejection = Never)]
pub struct Trip {}

impl Evolve for Trip {
    fn evolve(&mut self, _: &TripEvent) {}
}

/// What is done to a trip.
#[derive(Command, Clone)]
#[command(aggregate = Trip)]
pub struct Do {
    #[command(id)]
    trip: String,
    event: TripEvent,
}

impl Decide<Do> for Trip {
    fn decide(&self, command: Do, _: &DecisionContext) -> Decision<Self> {
        emit(command.event)
    }
}

/// A carrier that knows its requests by their ids, and lets them through one by one.
struct Carrier {
    seen: Mutex<BTreeSet<CommandId>>,
    /// Whom it was asked for, in order.
    asked_for: Mutex<Vec<Option<TenantId>>>,
    was_asked: Notify,
    lets_through: Semaphore,
}

impl Carrier {
    fn new(lets_through: usize) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            asked_for: Mutex::default(),
            was_asked: Notify::new(),
            lets_through: Semaphore::new(lets_through),
        })
    }

    async fn book(&self, id: CommandId, tenant: Option<TenantId>) {
        self.seen.lock().unwrap().insert(id);
        self.asked_for.lock().unwrap().push(tenant);
        self.was_asked.notify_one();
        self.lets_through.acquire().await.unwrap().forget();
    }

    fn bookings(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Journey {
    trip: String,
}

fn doing(event: TripEvent) -> impl Fn(&Journey) -> Do + Send + Sync + 'static {
    move |it| Do { trip: it.trip.clone(), event: event.clone() }
}

/// A seat, a booking with the carrier, a confirmation. It knows nothing of tenants.
fn journey(carrier: &Arc<Carrier>) -> Saga<Journey> {
    let carrier = carrier.clone();
    Saga::named("journey")
        .started_by(|event: &TripEvent, _| match event {
            TripEvent::Requested { trip } => Some((trip.clone(), Journey { trip: trip.clone() })),
            _ => None,
        })
        .cancelled_by(|event: &TripEvent, _| match event {
            TripEvent::CalledOff { trip } => Some(trip.clone()),
            _ => None,
        })
        .step("seat", doing(TripEvent::Seated))
        .compensate(doing(TripEvent::Unseated))
        .call("book", move |_, context| {
            let carrier = carrier.clone();
            async move {
                carrier.book(context.command, context.saga.tenant()).await;
                StepOutcome::done()
            }
        })
        .compensate_with(|_, _| async { CompensationOutcome::undone() })
        .pivot("confirm", doing(TripEvent::Confirmed))
        .build()
        .unwrap()
}

fn request(trip: &str) -> Do {
    Do { trip: trip.to_owned(), event: TripEvent::Requested { trip: trip.to_owned() } }
}

fn call_off(trip: &str) -> Do {
    Do { trip: trip.to_owned(), event: TripEvent::CalledOff { trip: trip.to_owned() } }
}

async fn host(log: &dyn LogFactory, carrier: &Arc<Carrier>) -> (Highwater, SagaControl) {
    let manager = SagaManager::new(journey(carrier)).with_takeover_after(Duration::from_millis(50));
    let control = manager.control(log.open().await);
    (Highwater::builder(log.open().await).host(manager).start().unwrap(), control)
}

/// Waits until the tenant's trip "a" has come to an end.
async fn ended(app: &Highwater, control: &SagaControl, of: &TenantId) -> SagaPhase {
    let (mut signal, control) = (app.store().signal(), control.for_tenant(of));
    let ends = async {
        loop {
            match control.show("a").await {
                Ok(status) if status.has_ended() => return status.phase,
                _ => signal.wait().await,
            }
        }
    };
    tokio::time::timeout(LONG, ends).await.expect("the saga ends")
}

/// The types of all events of a tenant, but the saga's own.
async fn done_for(log: &dyn LogFactory, of: &TenantId) -> Vec<String> {
    let store = TenantStore::new(log.open().await, of);
    let all = everything(&store, &Selection::All).await;
    let of_trips = all.into_iter().filter(|event| event.stream.category() == "trip");
    types(&of_trips.collect::<Vec<_>>()).into_iter().map(str::to_owned).collect()
}

/// Two tenants ask for trips of one id: two sagas, each with its commands and its stream at home.
pub async fn a_saga_acts_for_the_tenant_whose_event_started_it(log: &dyn LogFactory) {
    let carrier = Carrier::new(3);
    let (app, control) = host(log, &carrier).await;
    app.execute(request("a")).await.unwrap();
    let tenants = [tenant("acme"), tenant("bolt")];
    for of in &tenants {
        app.for_tenant(of).execute(request("a")).await.unwrap();
    }
    for of in &tenants {
        assert_eq!(ended(&app, &control, of).await, SagaPhase::Completed);
        assert_eq!(done_for(log, of).await, ["trip.requested", "trip.seated", "trip.confirmed"]);
        let own = TenantStore::new(log.open().await, of);
        let all = everything(&own, &Selection::All).await;
        let (requested, started) = (&all[0], &all[1]);
        assert_eq!(started.stream.as_str(), "saga.journey-a");
        assert_eq!(started.metadata.causation, Some(requested.id), "as the tenant knows it");
        assert!(started.data.as_json().contains(&requested.id.to_string()));
    }
    // The carrier tells equal trips of two tenants apart, and is told whom it books for.
    assert_eq!(carrier.bookings(), 3);
    let asked: BTreeSet<_> = carrier.asked_for.lock().unwrap().iter().cloned().collect();
    let everybody = [None, Some(tenants[0].clone()), Some(tenants[1].clone())];
    assert_eq!(asked, BTreeSet::from(everybody));
    app.shutdown().await;
}

/// Equal keys: a tenant's event reaches the tenant's saga, and no other.
pub async fn an_event_of_one_tenant_cancels_no_saga_of_another(log: &dyn LogFactory) {
    let carrier = Carrier::new(0);
    let (app, control) = host(log, &carrier).await;
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    for of in [&acme, &bolt] {
        app.for_tenant(of).execute(request("a")).await.unwrap();
        tokio::time::timeout(LONG, carrier.was_asked.notified()).await.expect("it is booked");
    }
    let called_off = app.for_tenant(&acme).execute(call_off("a")).await.unwrap();
    assert!(matches!(ended(&app, &control, &acme).await, SagaPhase::Compensated { .. }));
    // And nobody's event reaches none of them.
    app.execute(call_off("a")).await.unwrap();
    carrier.lets_through.add_permits(9);
    assert_eq!(ended(&app, &control, &bolt).await, SagaPhase::Completed);
    app.caught_up("saga:journey", called_off.position, LONG).await.unwrap();
    let of_acme = ["trip.requested", "trip.seated", "trip.called_off", "trip.unseated"];
    assert_eq!(done_for(log, &acme).await, of_acme);
    assert_eq!(done_for(log, &bolt).await, ["trip.requested", "trip.seated", "trip.confirmed"]);
    app.shutdown().await;
}

/// Who looks from within a tenant sees its sagas; who helps one helps no other.
pub async fn a_tenant_sees_and_helps_no_saga_of_another(log: &dyn LogFactory) {
    let carrier = Carrier::new(9);
    let (app, control) = host(log, &carrier).await;
    let (acme, bolt) = (tenant("acme"), tenant("bolt"));
    app.for_tenant(&acme).execute(request("a")).await.unwrap();
    assert_eq!(ended(&app, &control, &acme).await, SagaPhase::Completed);
    let listed = control.list().await.unwrap();
    assert_eq!(listed.iter().map(|it| it.tenant.clone()).collect::<Vec<_>>(), [Some(acme.clone())]);
    let of_acme = TenantStore::new(log.open().await, &acme);
    let of_bolt = TenantStore::new(log.open().await, &bolt);
    let behind_walls = [
        (SagaControl::new(Arc::new(of_acme), "journey"), 1),
        (SagaControl::new(Arc::new(of_bolt), "journey"), 0),
        (control.for_tenant(&acme), 1),
        (control.for_tenant(&bolt), 0),
    ];
    for (control, sees) in behind_walls {
        assert_eq!(control.list().await.unwrap().len(), sees);
        let helped = control.compensate("a").await;
        let told = match helped.unwrap_err() {
            SagaControlError::NotFound { .. } => 0,
            SagaControlError::NotPossible { .. } => 1,
            other => panic!("{other:?}"),
        };
        assert_eq!(told, sees);
    }
    assert!(matches!(control.show("a").await, Err(SagaControlError::NotFound { .. })));
    app.shutdown().await;
}

/// The list of open sagas keeps whose they are.
pub async fn the_sagas_of_all_tenants_go_on_after_a_restart(log: &dyn LogFactory) {
    let carrier = Carrier::new(0);
    let (app, _) = host(log, &carrier).await;
    let tenants = [tenant("acme"), tenant("bolt")];
    for of in &tenants {
        app.for_tenant(of).execute(request("a")).await.unwrap();
        tokio::time::timeout(LONG, carrier.was_asked.notified()).await.expect("it is booked");
    }
    // Not shut down, which would close a store in memory for everybody.
    drop(app);
    let again = Carrier::new(9);
    let (app, control) = host(log, &again).await;
    for of in &tenants {
        assert_eq!(ended(&app, &control, of).await, SagaPhase::Completed);
        assert_eq!(done_for(log, of).await, ["trip.requested", "trip.seated", "trip.confirmed"]);
    }
    assert_eq!(*again.seen.lock().unwrap(), *carrier.seen.lock().unwrap(), "under the same ids");
    app.shutdown().await;
}

/// One tenant's saga can be gone on with by an application for that tenant alone.
pub async fn a_tenants_saga_is_the_same_for_an_application_of_its_own(log: &dyn LogFactory) {
    let carrier = Carrier::new(0);
    let (app, _) = host(log, &carrier).await;
    let acme = tenant("acme");
    app.for_tenant(&acme).execute(request("a")).await.unwrap();
    tokio::time::timeout(LONG, carrier.was_asked.notified()).await.expect("it is booked");
    // Not shut down, which would close a store in memory for everybody.
    drop(app);
    let again = Carrier::new(9);
    let store: Arc<dyn EventStore> = Arc::new(TenantStore::new(log.open().await, &acme));
    let manager = SagaManager::new(journey(&again));
    let alone = Highwater::builder(store.clone()).host(manager).start().unwrap();
    let confirmed = async {
        let mut signal = store.signal();
        let trip = highwater::StreamId::new("trip", "a").unwrap();
        while store.read_stream(&trip, StreamVersion::EMPTY, 9).await.unwrap().len() < 3 {
            signal.wait().await;
        }
    };
    tokio::time::timeout(LONG, confirmed).await.expect("it goes on");
    assert_eq!(*again.seen.lock().unwrap(), *carrier.seen.lock().unwrap(), "under the same ids");
    assert_eq!(done_for(log, &acme).await, ["trip.requested", "trip.seated", "trip.confirmed"]);
    alone.shutdown().await;
}
