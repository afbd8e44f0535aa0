//! A shop: goods that are reserved and shipped by command, a bank that is called.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use highwater_core::{
    Aggregate, Append, CheckpointStore, Command, CommandId, Component, ComponentContext,
    ComponentError, Decide, Decision, DecisionContext, DecodeError, Decoded, EncodeError, Event,
    EventDescriptor, EventStore, Evolve, ExpectedVersion, ManualClock, MemoryStore, NewEvent,
    Payload, RecordedEvent, StreamId, TenantId, TenantStore, emit, nothing, reject,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::saga_event::SagaEvent;
use crate::testing::FaultWorld;
use crate::{
    CompensationOutcome, Saga, SagaBuilder, SagaControl, SagaManager, SagaPhase, SagaStatus,
    Startable, StepEffect, StepOutcome,
};

macro_rules! family {
    ($family:ident { $($variant:ident => $name:literal,)* }) => {
        #[derive(Clone, Debug, PartialEq)]
        pub(super) enum $family { $($variant(String),)* }

        impl Event for $family {
            const TYPES: &'static [EventDescriptor] =
                &[$(EventDescriptor { name: $name, oldest: 1, version: 1 },)*];

            fn event_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn schema_version(&self) -> u32 { 1 }

            fn encode(&self) -> Result<Payload, EncodeError> {
                let text = match self { $(Self::$variant(text) => text,)* };
                Payload::from_value(text)
                    .map_err(|source| EncodeError::Data { event_type: self.event_type().into(), source })
            }

            fn decode(
                name: &str,
                version: u32,
                data: &Payload,
            ) -> Result<Decoded<Self>, DecodeError> {
                let text = data.to_value().map_err(|source| DecodeError::Malformed {
                    event_type: name.to_owned(),
                    schema_version: version,
                    source,
                })?;
                match name {
                    $($name => Ok(Decoded::one(Self::$variant(text))),)*
                    _ => Err(DecodeError::UnknownType {
                        event_type: name.to_owned(),
                        schema_version: version,
                        family: stringify!($family),
                    }),
                }
            }
        }
    };
}

family!(OrderEvent { Placed => "order.placed", Cancelled => "order.cancelled", });
family!(GoodsEvent {
    Reserved => "goods.reserved",
    Released => "goods.released",
    Shipped => "goods.shipped",
});
family!(PaymentEvent { Captured => "payment.captured", Declined => "payment.declined", });

#[derive(Debug, thiserror::Error)]
#[error("no goods are left")]
pub(super) struct SoldOut;

/// The goods of one order.
#[derive(Clone, Default)]
pub(super) struct Goods {
    reserved: usize,
    shipped: usize,
}

impl Aggregate for Goods {
    const CATEGORY: &'static str = "goods";
    type Id = String;
    type Event = GoodsEvent;
    type Rejection = SoldOut;
}

impl Evolve for Goods {
    fn evolve(&mut self, event: &GoodsEvent) {
        match event {
            GoodsEvent::Reserved(_) => self.reserved += 1,
            GoodsEvent::Released(_) => self.reserved -= 1,
            GoodsEvent::Shipped(_) => self.shipped += 1,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum GoodsCommand {
    Reserve(String),
    Release(String),
    Ship(String),
}

impl Command for GoodsCommand {
    type Aggregate = Goods;

    fn target(&self) -> &String {
        match self {
            Self::Reserve(order) | Self::Release(order) | Self::Ship(order) => order,
        }
    }
}

impl Decide<GoodsCommand> for Goods {
    fn decide(&self, command: GoodsCommand, _: &DecisionContext) -> Decision<Self> {
        match command {
            GoodsCommand::Reserve(order) if order.starts_with("sold-out") => reject(SoldOut),
            GoodsCommand::Reserve(order) => emit(GoodsEvent::Reserved(order)),
            GoodsCommand::Release(_) if self.reserved == 0 => nothing(),
            GoodsCommand::Release(order) => emit(GoodsEvent::Released(order)),
            GoodsCommand::Ship(order) => emit(GoodsEvent::Shipped(order)),
        }
    }
}

/// An outside payment provider that knows its requests by their ids.
#[derive(Clone, Default)]
pub(super) struct Bank {
    state: Arc<Mutex<BankState>>,
    /// While it is set, a charge waits for it before it takes effect.
    pub(super) gate: Arc<Mutex<Option<Arc<Notify>>>>,
    /// Told when a charge has reached the gate.
    pub(super) at_gate: Arc<Notify>,
}

#[derive(Default)]
struct BankState {
    seen: BTreeSet<CommandId>,
    charges: BTreeMap<String, i64>,
    requests: usize,
}

impl Bank {
    pub(super) async fn charge(&self, order: &str, id: CommandId) {
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(gate) = gate {
            self.at_gate.notify_one();
            gate.notified().await;
        }
        self.request(order, id, 1);
    }

    /// True if there was something to refund.
    pub(super) fn refund(&self, order: &str, id: CommandId) -> bool {
        let is_repeated = self.has_seen(id);
        let was_charged = self.balance(order) > 0;
        if was_charged {
            self.request(order, id, -1);
        }
        was_charged || is_repeated
    }

    fn has_seen(&self, id: CommandId) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.contains(&id)
    }

    fn request(&self, order: &str, id: CommandId, amount: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests += 1;
        if state.seen.insert(id) {
            *state.charges.entry(order.to_owned()).or_default() += amount;
        }
    }

    pub(super) fn balance(&self, order: &str) -> i64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.charges.get(order).copied().unwrap_or_default()
    }

    pub(super) fn requests(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).requests
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fulfilment {
    pub(super) order: String,
    #[serde(serialize_with = "unless_unwritable")]
    pub(super) receipt: Option<String>,
}

/// A receipt that no JSON can be made of.
pub(super) const UNWRITABLE: &str = "unwritable";

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn unless_unwritable<Z: serde::Serializer>(
    receipt: &Option<String>,
    serializer: Z,
) -> Result<Z::Ok, Z::Error> {
    if receipt.as_deref() == Some(UNWRITABLE) {
        return Err(serde::ser::Error::custom("this receipt can't be written"));
    }
    receipt.serialize(serializer)
}

pub(super) fn started() -> SagaBuilder<Fulfilment, Startable> {
    Saga::named("order-fulfilment")
        .started_by(|event: &OrderEvent, _: &RecordedEvent| match event {
            OrderEvent::Placed(order) => {
                Some((order.clone(), Fulfilment { order: order.clone(), receipt: None }))
            }
            OrderEvent::Cancelled(_) => None,
        })
        .cancelled_by(|event: &OrderEvent, _| match event {
            OrderEvent::Cancelled(order) => Some(order.clone()),
            OrderEvent::Placed(_) => None,
        })
}

pub(super) fn fulfilment(bank: &Bank) -> Saga<Fulfilment> {
    let (charged, refunded) = (bank.clone(), bank.clone());
    started()
        .step("reserve goods", |it| GoodsCommand::Reserve(it.order.clone()))
        .compensate(|it| GoodsCommand::Release(it.order.clone()))
        .call("charge", move |it: Fulfilment, context| {
            let bank = charged.clone();
            async move {
                if it.order.starts_with("poor") {
                    return StepOutcome::failed("no money");
                }
                bank.charge(&it.order, context.command).await;
                StepOutcome::done_with(Fulfilment {
                    receipt: Some(context.idempotency_key()),
                    ..it
                })
            }
        })
        .compensate_with(move |it: Fulfilment, context| {
            let bank = refunded.clone();
            async move {
                if it.order.contains("unrefundable") {
                    return CompensationOutcome::failed("the bank is closed");
                }
                if bank.refund(&it.order, context.command) {
                    return CompensationOutcome::undone();
                }
                assert_ne!(context.effect, StepEffect::Done, "an effect can't vanish");
                CompensationOutcome::NothingToUndo
            }
        })
        .deadline(Duration::from_secs(30))
        .pivot("ship", |it| GoodsCommand::Ship(it.order.clone()))
        .call("thank", |_, _| async { StepOutcome::done() })
        .build()
        .expect("a valid saga")
}

/// A shop with a manager that can be stopped, killed and started again.
pub(super) struct Shop {
    pub(super) store: Arc<MemoryStore>,
    pub(super) bank: Bank,
    pub(super) clock: ManualClock,
    pub(super) control: SagaControl,
    pub(super) saga: Saga<Fulfilment>,
    max_concurrent: usize,
    hosted: Vec<Hosted>,
}

struct Hosted {
    context: ComponentContext,
    task: tokio::task::JoinHandle<Result<(), ComponentError>>,
}

impl Hosted {
    async fn caught_up(&self, store: &dyn EventStore) {
        let head = store.high_water_mark().await.expect("the store reads");
        let patience = Duration::from_secs(20);
        let caught_up = self.context.progress.caught_up("saga:order-fulfilment", head, patience);
        caught_up.await.expect("the manager catches up");
    }
}

impl Shop {
    pub(super) fn open() -> Self {
        let bank = Bank::default();
        let saga = fulfilment(&bank);
        Self::with(bank, saga)
    }

    pub(super) fn with(bank: Bank, saga: Saga<Fulfilment>) -> Self {
        let store = Arc::new(MemoryStore::new());
        let control = SagaControl::new(store.clone(), saga.name());
        let (clock, hosted) = (ManualClock::default(), Vec::new());
        Self { store, bank, clock, control, saga, max_concurrent: 64, hosted }
    }

    /// Managers that are hosted from now on drive one saga at a time.
    pub(super) fn one_at_a_time(mut self) -> Self {
        self.max_concurrent = 1;
        self
    }

    pub(super) fn manager(&self) -> SagaManager<Fulfilment> {
        SagaManager::new(self.saga.clone())
            .with_clock(self.clock.clone())
            .with_max_concurrent(self.max_concurrent)
    }

    pub(super) fn host(&mut self) {
        let manager = self.manager();
        let context = ComponentContext::new(self.store.clone(), CancellationToken::new());
        context.progress.expect(manager.name());
        let hosted = context.clone();
        let task = tokio::spawn(async move { manager.run(hosted).await });
        self.hosted.push(Hosted { context, task });
    }

    pub(super) async fn kill(&mut self) {
        while !self.hosted.is_empty() {
            self.kill_last().await;
        }
    }

    /// Kills the manager that was hosted last, which leads.
    pub(super) async fn kill_last(&mut self) {
        if let Some(hosted) = self.hosted.pop() {
            hosted.task.abort();
            let _ = hosted.task.await;
        }
    }

    pub(super) async fn stop(&mut self) {
        for hosted in self.hosted.drain(..) {
            hosted.context.shutdown.cancel();
            hosted.task.await.expect("the manager doesn't panic").expect("it stops well");
        }
    }

    pub(super) async fn append(&self, event: impl Event) {
        self.store.append(append_of(event)).await.expect("the store appends");
    }

    pub(super) async fn place(&self, order: &str) {
        self.append(OrderEvent::Placed(order.to_owned())).await;
    }

    /// Waits until the last hosted manager has dealt with everything in the log.
    pub(super) async fn caught_up(&self) {
        self.hosted.last().expect("a manager is hosted").caught_up(&*self.store).await;
    }

    /// Waits until every hosted manager has seen everything in the log dealt with.
    pub(super) async fn all_caught_up(&self) {
        for hosted in &self.hosted {
            hosted.caught_up(&*self.store).await;
        }
    }

    /// How often the sagas' place was claimed.
    pub(super) async fn epoch(&self) -> u64 {
        let standing = self.store.standing("saga:order-fulfilment").await.expect("the store reads");
        standing.unwrap_or_default().epoch
    }

    /// Waits until the order's saga is as it is asked to be.
    pub(super) async fn until(
        &self,
        order: &str,
        is_so: impl Fn(&SagaStatus) -> bool,
    ) -> SagaStatus {
        let mut signal = self.store.signal();
        let waiting = async {
            loop {
                match self.control.show(order).await {
                    Ok(status) if is_so(&status) => return status,
                    _ => signal.wait().await,
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        match waited {
            Ok(status) => status,
            Err(_) => panic!("{order} is {:?}", self.control.show(order).await),
        }
    }

    pub(super) async fn until_rest(&self, order: &str) -> SagaPhase {
        self.until(order, |it| it.has_ended() || it.is_paused()).await.phase
    }

    /// The types of the saga's events, in order.
    pub(super) async fn history(&self, order: &str) -> Vec<String> {
        let stream = crate::saga_event::stream_of("order-fulfilment", order, None).expect("a key");
        let events = self.store.read_stream(&stream, Default::default(), 1_000).await;
        let events = events.expect("the store reads");
        let short = |event: &RecordedEvent| event.event_type.as_str().replacen("saga.", "", 1);
        events.iter().map(short).collect()
    }

    /// The steps that were compensated, in that order.
    pub(super) async fn undone(&self, order: &str) -> Vec<usize> {
        let stream = crate::saga_event::stream_of("order-fulfilment", order, None).expect("a key");
        let events = self.store.read_stream(&stream, Default::default(), 1_000).await;
        let step_of = |event: &RecordedEvent| match event.decode().expect("readable").into_one() {
            Some(SagaEvent::CompensationSucceeded(undone)) => Some(undone.step),
            _ => None,
        };
        events.expect("the store reads").iter().filter_map(step_of).collect()
    }

    pub(super) async fn effects(&self, order: &str) -> Effects {
        effects(&*self.store, &self.bank, order).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) reserved: i64,
    pub(super) charged: i64,
    pub(super) shipped: i64,
}

pub(super) const ALL: Effects = Effects { reserved: 1, charged: 1, shipped: 1 };
pub(super) const NONE: Effects = Effects { reserved: 0, charged: 0, shipped: 0 };

pub(super) async fn effects(store: &dyn EventStore, bank: &Bank, order: &str) -> Effects {
    let stream = StreamId::new("goods", order).expect("a valid stream");
    let events = store.read_stream(&stream, Default::default(), 1_000).await;
    let mut effects = Effects { charged: bank.balance(order), ..NONE };
    for event in events.expect("the store reads") {
        match event.decode().expect("readable").into_one().expect("an event of goods") {
            GoodsEvent::Reserved(_) => effects.reserved += 1,
            GoodsEvent::Released(_) => effects.reserved -= 1,
            GoodsEvent::Shipped(_) => effects.shipped += 1,
        }
    }
    effects
}

fn append_of(event: impl Event) -> Append {
    append_to(StreamId::new("order", "1").expect("a valid stream"), event)
}

fn append_to(stream: StreamId, event: impl Event) -> Append {
    let event = NewEvent::from_event(&event).expect("an event can be written");
    Append::to(stream, ExpectedVersion::Any, vec![event])
}

/// The shop as a world for the fault suite.
pub(super) async fn world() -> FaultWorld<Fulfilment> {
    let store = Arc::new(MemoryStore::new());
    world_of(store.clone(), store, StreamId::new("order", "1").expect("a valid stream"))
}

/// The same for the orders of a tenant, on the log of all.
pub(super) async fn tenants_world() -> FaultWorld<Fulfilment> {
    let store = Arc::new(MemoryStore::new());
    let acme = TenantId::new("acme").expect("a valid name");
    let order = StreamId::new("order", "1").expect("a valid stream").in_tenant(&acme);
    world_of(store.clone(), Arc::new(TenantStore::new(store, &acme)), order)
}

/// The world of a store whose goods are seen in `checked`, and whose orders are in `orders`.
fn world_of(
    store: Arc<MemoryStore>,
    checked: Arc<dyn EventStore>,
    orders: StreamId,
) -> FaultWorld<Fulfilment> {
    let bank = Bank::default();
    let saga = fulfilment(&bank);
    FaultWorld {
        saga,
        store,
        given: Vec::new(),
        start: append_to(orders.clone(), OrderEvent::Placed("a".to_owned())),
        key: "a".to_owned(),
        cancel: Some(append_to(orders, OrderEvent::Cancelled("a".to_owned()))),
        check: Box::new(move |phase| {
            let (store, bank) = (checked.clone(), bank.clone());
            Box::pin(async move {
                let found = effects(&*store, &bank, "a").await;
                let expected = match phase {
                    SagaPhase::Compensated { .. } => NONE,
                    _ => ALL,
                };
                if found == expected {
                    return Ok(());
                }
                Err(format!("after {phase}: {found:?}"))
            })
        }),
    }
}
