//! Sagas on the log in one SQLite file: every fault at every step, and a restart from the file alone.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater::sagas::testing::{FaultWorld, fault_suite};
use highwater::sagas::{
    CompensationOutcome, Saga, SagaControl, SagaManager, SagaPhase, StepOutcome,
};
use highwater::sqlite::SqliteStore;
use highwater::{
    Aggregate, Append, Command, CommandId, Decide, Decision, DecisionContext, Event, EventStore,
    Evolve, ExpectedVersion, Highwater, NewEvent, StreamId, emit, nothing,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Clone, Debug, PartialEq)]
enum OrderEvent {
    #[event(name = "order.placed")]
    Placed { order: String },
    #[event(name = "order.cancelled")]
    Cancelled { order: String },
}

#[derive(Event, Clone, Debug, PartialEq)]
enum StockEvent {
    #[event(name = "stock.reserved")]
    Reserved,
    #[event(name = "stock.released")]
    Released,
    #[event(name = "stock.shipped")]
    Shipped,
}

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

#[derive(Aggregate, Default, Clone)]
#[aggregate(category = "stock", id = String, event = StockEvent, rejection = Never)]
struct Stock {
    reserved: i64,
    shipped: i64,
}

impl Evolve for Stock {
    fn evolve(&mut self, event: &StockEvent) {
        match event {
            StockEvent::Reserved => self.reserved += 1,
            StockEvent::Released => self.reserved -= 1,
            StockEvent::Shipped => self.shipped += 1,
        }
    }
}

#[derive(Command, Clone)]
#[command(aggregate = Stock)]
struct ReserveStock {
    #[command(id)]
    order: String,
}

#[derive(Command, Clone)]
#[command(aggregate = Stock)]
struct ReleaseStock {
    #[command(id)]
    order: String,
}

#[derive(Command, Clone)]
#[command(aggregate = Stock)]
struct Ship {
    #[command(id)]
    order: String,
}

impl Decide<ReserveStock> for Stock {
    fn decide(&self, _: ReserveStock, _: &DecisionContext) -> Decision<Self> {
        emit(StockEvent::Reserved)
    }
}

impl Decide<ReleaseStock> for Stock {
    fn decide(&self, _: ReleaseStock, _: &DecisionContext) -> Decision<Self> {
        if self.reserved == 0 {
            return nothing();
        }
        emit(StockEvent::Released)
    }
}

impl Decide<Ship> for Stock {
    fn decide(&self, _: Ship, _: &DecisionContext) -> Decision<Self> {
        emit(StockEvent::Shipped)
    }
}

/// A payment provider that recognises a repeated request by its id.
#[derive(Clone, Default)]
struct Bank(Arc<Mutex<(HashSet<CommandId>, i64)>>);

impl Bank {
    fn request(&self, id: CommandId, amount: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.insert(id) {
            state.1 += amount;
        }
    }

    fn balance(&self) -> i64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Fulfilment {
    order: String,
}

fn fulfilment(bank: &Bank) -> Saga<Fulfilment> {
    let (charged, refunded) = (bank.clone(), bank.clone());
    Saga::named("fulfilment")
        .started_by(|event: &OrderEvent, _| match event {
            OrderEvent::Placed { order } => {
                Some((order.clone(), Fulfilment { order: order.clone() }))
            }
            OrderEvent::Cancelled { .. } => None,
        })
        .cancelled_by(|event: &OrderEvent, _| match event {
            OrderEvent::Cancelled { order } => Some(order.clone()),
            OrderEvent::Placed { .. } => None,
        })
        .step("reserve stock", |it| ReserveStock { order: it.order.clone() })
        .compensate(|it| ReleaseStock { order: it.order.clone() })
        .call("charge", move |_, context| {
            let bank = charged.clone();
            async move {
                bank.request(context.command, 1);
                StepOutcome::done()
            }
        })
        .compensate_with(move |_, context| {
            let bank = refunded.clone();
            async move {
                if bank.balance() == 0 {
                    return CompensationOutcome::NothingToUndo;
                }
                bank.request(context.command, -1);
                CompensationOutcome::undone()
            }
        })
        .deadline(Duration::from_secs(60))
        .pivot("ship", |it| Ship { order: it.order.clone() })
        .build()
        .expect("a valid saga")
}

async fn open(file: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(file).await.expect("the file opens")
}

fn append(event: &OrderEvent) -> Append {
    let event = NewEvent::from_event(event).expect("an event can be written");
    let stream = StreamId::new("order", "1").expect("a valid stream");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

fn placed(order: &str) -> Append {
    append(&OrderEvent::Placed { order: order.to_owned() })
}

/// Reserved, charged, shipped.
async fn effects(store: Arc<dyn EventStore>, bank: &Bank) -> (i64, i64, i64) {
    let commands = highwater::CommandHandler::new(store);
    let stock = commands.load::<Stock>(&"a".to_owned()).await.expect("the stock").state;
    (stock.reserved, bank.balance(), stock.shipped)
}

/// A world in a file of its own, which lives as long as the world's check.
async fn world() -> FaultWorld<Fulfilment> {
    let directory = tempfile::tempdir().expect("a directory for the file");
    let store = open(&directory.path().join("log.db")).await;
    let bank = Bank::default();
    let (checked, saga) = (store.clone(), fulfilment(&bank));
    FaultWorld {
        saga,
        store,
        given: Vec::new(),
        start: placed("a"),
        key: "a".to_owned(),
        cancel: Some(append(&OrderEvent::Cancelled { order: "a".to_owned() })),
        check: Box::new(move |phase| {
            let _file = directory.path();
            let (store, bank) = (checked.clone(), bank.clone());
            Box::pin(async move {
                let found = effects(store, &bank).await;
                match (&phase, found) {
                    (SagaPhase::Completed, (1, 1, 1)) => Ok(()),
                    (SagaPhase::Compensated { .. }, (0, 0, 0)) => Ok(()),
                    _ => Err(format!("after {phase}: {found:?}")),
                }
            })
        }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_at_every_step_ends_completed_or_compensated_on_sqlite() {
    fault_suite(world).await.assert_passed();
}

fn hosted(store: &Arc<SqliteStore>, bank: &Bank) -> Highwater {
    Highwater::builder(store.clone())
        .host(SagaManager::new(fulfilment(bank)))
        .start()
        .expect("one component has one name")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sagas_go_on_from_the_file_alone() {
    const SAGAS: usize = 200;
    let directory = tempfile::tempdir().expect("a directory for the file");
    let file = directory.path().join("log.db");
    let bank = Bank::default();
    for _ in 0..2 {
        let store = open(&file).await;
        let app = hosted(&store, &bank);
        for order in 0..SAGAS {
            let _ = store.append(placed(&format!("{order}"))).await.expect("the store appends");
        }
        app.shutdown().await;
    }
    let store = open(&file).await;
    let app = hosted(&store, &bank);
    let control = SagaControl::new(store.clone(), "fulfilment");
    let ended = async {
        loop {
            let all = control.list().await.expect("the store reads");
            if all.len() == SAGAS && all.iter().all(|it| it.phase == SagaPhase::Completed) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("every saga completes");
    assert_eq!(bank.balance(), SAGAS as i64);
    app.shutdown().await;
}
