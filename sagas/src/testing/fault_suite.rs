//! Every fault at every place of a saga, one run each, and the oracle that each run ends with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use highwater_core::{
    Append, Component, ComponentContext, ComponentError, EventStore, GlobalPosition, ManualClock,
    Selection, StreamId, TenantId,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fault::{Fault, Faults, Kind, Passed, Place};
use super::fault_store::FaultStore;
use crate::instance::Instance;
use crate::recorder::Recorder;
use crate::saga::{Definition, SagaState};
use crate::saga_event::{SagaEvent, stream_of};
use crate::step::Step;
use crate::{Saga, SagaControl, SagaManager, SagaPhase, SagaStatus};

/// How long one run may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a run looks at its saga, and moves the saga's clock.
const GLANCE: Duration = Duration::from_millis(2);

/// The check of a [`FaultWorld`].
pub type WorldCheck =
    Box<dyn Fn(SagaPhase) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Everything that one run of a saga needs, made anew for every run.
pub struct FaultWorld<S> {
    /// The saga under test.
    pub saga: Saga<S>,
    /// An empty store.
    pub store: Arc<dyn EventStore>,
    /// What must be in the log before the saga starts, such as goods in stock.
    pub given: Vec<Append>,
    /// Starts exactly one saga; in a tenant's stream, one of the tenant's.
    pub start: Append,
    /// The key of that saga.
    pub key: String,
    /// Cancels it, if it can be cancelled.
    pub cancel: Option<Append>,
    /// Says what is wrong if the world doesn't look as it must after a saga that ended this way:
    /// every effect there once if it completed, none left if it was compensated.
    pub check: WorldCheck,
}

/// What came of a suite.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FaultReport {
    /// How many runs there were.
    pub runs: usize,
    /// What was wrong, by run.
    pub failures: Vec<String>,
}

impl FaultReport {
    /// Fails the test unless every run passed.
    ///
    /// # Panics
    /// If a run failed, with what was wrong in each.
    pub fn assert_passed(&self) {
        assert!(self.failures.is_empty(), "{self}");
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} runs failed", self.failures.len(), self.runs)?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "- {failure}"))
    }
}

/// What one run is about.
#[derive(Clone, Debug, Default)]
struct Scenario {
    /// The step that the business says no to.
    refused_step: Option<String>,
    /// That step takes effect, and says that only a part of it did.
    refuses_partly: bool,
    refuses_undo: bool,
    fault: Option<Fault>,
    /// Cancelled while the process is down.
    is_cancelled: bool,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused_step {
            Some(step) => write!(f, "step {step:?} refused")?,
            None => f.write_str("no step refused")?,
        }
        if self.refuses_partly {
            f.write_str(" when a part was done")?;
        }
        if self.refuses_undo {
            f.write_str(", first compensation refused")?;
        }
        if let Some(Fault { place, kind }) = self.fault {
            write!(f, ", {kind:?} at {place:?}")?;
        }
        if self.is_cancelled {
            f.write_str(", then cancelled")?;
        }
        Ok(())
    }
}

/// Fails, repeats and crashes a saga at every step; see the [module](super).
///
/// Deadlines and retries are taken from a clock of the suite's own that runs ahead, so no run waits.
pub async fn fault_suite<S, F>(new_world: impl Fn() -> F) -> FaultReport
where
    S: SagaState,
    F: Future<Output = FaultWorld<S>>,
{
    fault_suite_of(new_world, |manager| manager, PATIENCE).await
}

/// The suite over managers that `configure` had its hands on.
pub(crate) async fn fault_suite_of<S, F>(
    new_world: impl Fn() -> F,
    configure: impl Fn(SagaManager<S>) -> SagaManager<S>,
    patience: Duration,
) -> FaultReport
where
    S: SagaState,
    F: Future<Output = FaultWorld<S>>,
{
    let definition = new_world().await.saga.definition.clone();
    let report = FaultReport::default();
    let mut suite = Suite { new_world, configure, patience, report };
    for plain in courses(&definition) {
        let passed = suite.run_one(&plain).await;
        for scenario in variations(&plain, passed.unwrap_or_default()) {
            suite.run_one(&scenario).await;
        }
    }
    suite.report
}

/// Every course of events without a fault: nobody says no, or one step does, or a call to the outside
/// does that has done a part already. (A command takes effect whole or not at all.)
fn courses<S>(definition: &Definition<S>) -> Vec<Scenario> {
    let refused = |step: &Step<S>| Some(step.name.clone());
    let mut courses = vec![Scenario::default()];
    for step in &definition.steps {
        courses.push(Scenario { refused_step: refused(step), ..Scenario::default() });
        if !step.is_command && step.undo.is_some() {
            let refused_step = refused(step);
            courses.push(Scenario { refused_step, refuses_partly: true, ..Scenario::default() });
        }
    }
    courses
}

/// A suite at work.
struct Suite<W, C> {
    new_world: W,
    configure: C,
    patience: Duration,
    report: FaultReport,
}

impl<W, C> Suite<W, C> {
    /// Runs a scenario in a fresh world, and notes what was wrong.
    async fn run_one<S, F>(&mut self, scenario: &Scenario) -> Option<Passed>
    where
        S: SagaState,
        F: Future<Output = FaultWorld<S>>,
        W: Fn() -> F,
        C: Fn(SagaManager<S>) -> SagaManager<S>,
    {
        let world = (self.new_world)().await;
        if scenario.is_cancelled && world.cancel.is_none() {
            return None;
        }
        self.report.runs += 1;
        let run = Box::pin(run(&world, &self.configure, scenario));
        let outcome = tokio::time::timeout(self.patience, run)
            .await
            .unwrap_or_else(|_| Err("it neither ended nor paused".to_owned()));
        outcome.map_err(|error| self.report.failures.push(format!("{scenario}: {error}"))).ok()
    }
}

/// The same course of events with every fault at every place that it passes.
fn variations(plain: &Scenario, passed: Passed) -> Vec<Scenario> {
    use Kind::{CrashAfter, CrashBefore, Hang, OutcomeUnknown, Unavailable};
    let places = |count: usize, place: fn(usize) -> Place, kinds: &'static [Kind]| {
        (0..count).flat_map(move |index| {
            kinds.iter().map(move |&kind| Fault { place: place(index), kind })
        })
    };
    let at_append = &[CrashBefore, CrashAfter, Unavailable, OutcomeUnknown];
    let at_call = &[CrashBefore, CrashAfter, Unavailable, Hang];
    let faults = places(passed.appends, Place::Append, at_append)
        .chain(places(passed.steps, Place::Step, at_call))
        .chain(places(passed.undos, Place::Undo, at_call));
    let mut scenarios = Vec::new();
    for fault in faults {
        let scenario = Scenario { fault: Some(fault), ..plain.clone() };
        if matches!(fault.kind, CrashBefore | CrashAfter) {
            scenarios.push(Scenario { is_cancelled: true, ..scenario.clone() });
        }
        scenarios.push(scenario);
    }
    if passed.undos > 0 {
        scenarios.push(Scenario { refuses_undo: true, ..plain.clone() });
    }
    scenarios
}

async fn run<S: SagaState>(
    world: &FaultWorld<S>,
    configure: &impl Fn(SagaManager<S>) -> SagaManager<S>,
    scenario: &Scenario,
) -> Result<Passed, String> {
    for append in &world.given {
        world.store.append(append.clone()).await.map_err(told)?;
    }
    world.store.append(world.start.clone()).await.map_err(told)?;
    let refused = || scenario.refused_step.clone();
    let faults = Faults::new(scenario.fault, refused(), scenario.refuses_undo)
        .partly(scenario.refuses_partly);
    let first = Hosted::start(world, configure, &faults, false);
    let mut end = first.until_rest(world).await?;
    if first.stop().await? {
        end = restart(world, configure, scenario).await?;
    }
    let mut end = end.ok_or("it crashed without a fault")?;
    if scenario.refuses_undo {
        expect_paused(&end)?;
        let control = SagaControl::new(world.store.clone(), world.saga.name());
        let control = match tenant_of(world) {
            Some(tenant) => control.for_tenant(&tenant),
            None => control,
        };
        control.resume(&world.key).await.map_err(told)?;
        let faults = Faults::new(None, refused(), false).partly(scenario.refuses_partly);
        let resumed = Hosted::start(world, configure, &faults, false);
        end = resumed.until_rest(world).await?.ok_or("it crashed without a fault")?;
        resumed.stop().await?;
    }
    check(world, scenario, &end).await?;
    replay(world, configure, scenario, &end).await?;
    Ok(faults.passed())
}

/// The process died: another one goes on.
async fn restart<S: SagaState>(
    world: &FaultWorld<S>,
    configure: &impl Fn(SagaManager<S>) -> SagaManager<S>,
    scenario: &Scenario,
) -> Result<Option<Instance>, String> {
    if let (true, Some(cancel)) = (scenario.is_cancelled, &world.cancel) {
        world.store.append(cancel.clone()).await.map_err(told)?;
    }
    let faults =
        Faults::new(None, scenario.refused_step.clone(), false).partly(scenario.refuses_partly);
    let second = Hosted::start(world, configure, &faults, false);
    let head = world.store.high_water_mark().await.map_err(told)?;
    second.caught_up(head).await?;
    let end = second.until_rest(world).await?;
    second.stop().await?;
    Ok(end)
}

/// A manager that lost its checkpoint reads everything again, and must change nothing.
async fn replay<S: SagaState>(
    world: &FaultWorld<S>,
    configure: &impl Fn(SagaManager<S>) -> SagaManager<S>,
    scenario: &Scenario,
    end: &Instance,
) -> Result<(), String> {
    let faults =
        Faults::new(None, scenario.refused_step.clone(), false).partly(scenario.refuses_partly);
    let again = Hosted::start(world, configure, &faults, true);
    let head = world.store.high_water_mark().await.map_err(told)?;
    again.caught_up(head).await?;
    again.stop().await?;
    let replayed = load(world).await?.ok_or("the saga vanished")?;
    if replayed.version != end.version {
        return Err("reading the log again changed the saga".to_owned());
    }
    Ok(())
}

fn expect_paused(end: &Instance) -> Result<(), String> {
    let phase = SagaStatus::of(end).phase;
    match phase {
        SagaPhase::Paused { .. } => Ok(()),
        other => Err(format!("a compensation failed, and the saga is {other}")),
    }
}

/// The oracle.
async fn check<S: SagaState>(
    world: &FaultWorld<S>,
    scenario: &Scenario,
    end: &Instance,
) -> Result<(), String> {
    let phase = SagaStatus::of(end).phase;
    match &phase {
        SagaPhase::Completed if scenario.refused_step.is_some() => {
            return Err("it completed although a step was refused".to_owned());
        }
        SagaPhase::Completed | SagaPhase::Compensated { .. } => {}
        SagaPhase::Paused { .. } if is_behind_pivot(end, scenario) => {}
        other => return Err(format!("it is {other}")),
    }
    check_order(world, end).await?;
    (world.check)(phase).await
}

fn is_behind_pivot(end: &Instance, scenario: &Scenario) -> bool {
    let refused = scenario.refused_step.as_deref().and_then(|name| end.step_named(name));
    let pivot = end.plan.iter().position(|step| step.pivot);
    matches!((refused, pivot), (Some(refused), Some(pivot)) if refused > pivot)
}

/// Compensations run in reverse order, each once, and only of steps on record as started.
async fn check_order<S: SagaState>(world: &FaultWorld<S>, end: &Instance) -> Result<(), String> {
    let selection = Selection::Stream(end.stream.clone());
    let page = world.store.read_all(&selection, Default::default(), 10_000).await.map_err(told)?;
    let mut started = Vec::new();
    let mut undone = Vec::new();
    for recorded in page.events {
        for event in recorded.decode().map_err(told)? {
            match event {
                SagaEvent::StepStarted(step) => started.push(step.step),
                SagaEvent::CompensationSucceeded(step) => undone.push(step.step),
                _ => {}
            }
        }
    }
    if !undone.windows(2).all(|pair| pair[0] > pair[1]) {
        return Err(format!("steps were compensated in the order {undone:?}"));
    }
    if !started.iter().enumerate().all(|(index, &step)| index == step) {
        return Err(format!("steps were started in the order {started:?}"));
    }
    Ok(())
}

async fn load<S: SagaState>(world: &FaultWorld<S>) -> Result<Option<Instance>, String> {
    let recorder = Recorder { store: world.store.clone() };
    recorder.load(&saga_stream(world)?).await.map_err(told)
}

fn saga_stream<S: SagaState>(world: &FaultWorld<S>) -> Result<StreamId, String> {
    stream_of(world.saga.name(), &world.key, tenant_of(world).as_ref()).map_err(told)
}

fn tenant_of<S>(world: &FaultWorld<S>) -> Option<TenantId> {
    world.start.streams().first().and_then(|part| part.stream.tenant())
}

fn told(error: impl std::error::Error) -> String {
    crate::step::with_causes(&error)
}

/// A manager at work.
struct Hosted {
    task: JoinHandle<Result<(), ComponentError>>,
    context: ComponentContext,
    component: String,
    clock: ManualClock,
    faults: Arc<Faults>,
}

impl Hosted {
    fn start<S: SagaState>(
        world: &FaultWorld<S>,
        configure: &impl Fn(SagaManager<S>) -> SagaManager<S>,
        faults: &Arc<Faults>,
        forgets: bool,
    ) -> Self {
        let store = FaultStore { inner: world.store.clone(), faults: faults.clone(), forgets };
        let context = ComponentContext::new(Arc::new(store), CancellationToken::new());
        let clock = ManualClock::default();
        let manager = SagaManager::new(world.saga.clone())
            .with_clock(clock.clone())
            .with_probe(faults.clone());
        let manager = configure(manager);
        let component = manager.name().to_owned();
        context.progress.expect(&component);
        let hosted = context.clone();
        let task = tokio::spawn(async move { manager.run(hosted).await });
        Self { task, context, component, clock, faults: faults.clone() }
    }

    /// Until the saga has ended or paused; `None` if the process died first.
    async fn until_rest<S: SagaState>(
        &self,
        world: &FaultWorld<S>,
    ) -> Result<Option<Instance>, String> {
        loop {
            if self.faults.crash.is_cancelled() {
                return Ok(None);
            }
            let at_rest = load(world).await?.filter(|it| it.has_ended() || it.paused.is_some());
            if at_rest.is_some() {
                return Ok(at_rest);
            }
            self.glance().await?;
        }
    }

    async fn caught_up(&self, head: GlobalPosition) -> Result<(), String> {
        while self.context.progress.position(&self.component) < Some(head) {
            self.glance().await?;
        }
        Ok(())
    }

    /// Lets a little time pass, and more of it on the saga's clock.
    async fn glance(&self) -> Result<(), String> {
        if self.task.is_finished() {
            return Err("the manager stopped".to_owned());
        }
        tokio::select! {
            () = self.faults.crash.cancelled() => {}
            () = tokio::time::sleep(GLANCE) => self.clock.advance(Duration::from_secs(1)),
        }
        Ok(())
    }

    /// Ends the manager in good order, unless the process dies first; true if it did.
    async fn stop(self) -> Result<bool, String> {
        let mut task = self.task;
        // Whoever is dead doesn't shut down: it would still move the checkpoint.
        if !self.faults.crash.is_cancelled() {
            self.context.shutdown.cancel();
        }
        tokio::select! {
            biased;
            () = self.faults.crash.cancelled() => {}
            // The saga can be seen at rest just before the process dies behind its last append.
            stopped = &mut task => {
                return stopped.map_err(told)?.map_err(told).map(|()| false);
            }
        }
        task.abort();
        let _ = task.await;
        Ok(true)
    }
}
