//! The definition of a saga: what starts it, what ends it early, its steps.
//!
//! The builder's type says what may come next: a compensation and a deadline belong to the step
//! before them, and behind the pivot there are neither.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use highwater_core::{Category, Command, Decide, DecodeError, Decoded, Event, RecordedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::saga_event::{PlannedStep, category_of};
use crate::step::{Call, Step, Take, command_call, command_undo};
use crate::{CompensationOutcome, InvalidSaga, RetryPolicy, StepContext, StepOutcome};

/// What a saga knows: plain data that is stored with every change.
pub trait SagaState: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {}

impl<S: Serialize + DeserializeOwned + Clone + Send + Sync + 'static> SagaState for S {}

/// A flow of steps, each of which can be undone, up to the one behind which there is no way back.
///
/// An instance of it is known by its key and recorded in a stream of its own: one append per step.
///
/// ```
/// # use highwater_core::{RecordedEvent, Event, EventDescriptor, EncodeError, DecodeError, Decoded, Payload};
/// # use highwater_sagas::{Saga, StepOutcome, CompensationOutcome};
/// # use std::time::Duration;
/// # struct OrderEvent;
/// # impl Event for OrderEvent {
/// #     const TYPES: &'static [EventDescriptor] = &[];
/// #     fn event_type(&self) -> &'static str { "order.placed" }
/// #     fn schema_version(&self) -> u32 { 1 }
/// #     fn encode(&self) -> Result<Payload, EncodeError> { Ok(Payload::from_value(&()).expect("JSON")) }
/// #     fn decode(_: &str, _: u32, _: &Payload) -> Result<Decoded<Self>, DecodeError> { Ok(Decoded::one(Self)) }
/// # }
/// let saga = Saga::named("order-fulfilment")
///     .started_by(|_: &OrderEvent, recorded: &RecordedEvent| {
///         Some((recorded.stream.key().to_owned(), 100_u64))
///     })
///     .call("charge", |amount, context| async move {
///         println!("charging {amount} under {}", context.idempotency_key());
///         StepOutcome::done()
///     })
///     .compensate_with(|_, _| async { CompensationOutcome::undone() })
///     .deadline(Duration::from_secs(30))
///     .pivot_call("ship", |_, _| async { StepOutcome::done() })
///     .build()?;
/// # Ok::<(), highwater_sagas::InvalidSaga>(())
/// ```
pub struct Saga<S> {
    pub(crate) definition: Arc<Definition<S>>,
}

impl<S> Clone for Saga<S> {
    fn clone(&self) -> Self {
        Self { definition: self.definition.clone() }
    }
}

/// Reads an outside event: once for each event that it is read as, and that is meant.
pub(crate) type Reads<T> =
    Box<dyn Fn(&RecordedEvent) -> Result<Decoded<T>, DecodeError> + Send + Sync>;

pub(crate) struct Definition<S> {
    pub(crate) name: String,
    pub(crate) starts: Vec<Reads<(String, S)>>,
    pub(crate) cancels: Vec<Reads<String>>,
    /// Which step an event answers, and of which saga.
    pub(crate) answers: Vec<(usize, Reads<String>)>,
    pub(crate) steps: Vec<Step<S>>,
    /// The names of all event types that any of the above reads.
    pub(crate) event_types: Vec<&'static str>,
}

impl<S> Definition<S> {
    pub(crate) fn step(&self, name: &str) -> Option<&Step<S>> {
        self.steps.iter().find(|step| step.name == name)
    }

    pub(crate) fn plan(&self) -> Vec<PlannedStep> {
        let planned = |step: &Step<S>| PlannedStep {
            name: step.name.clone(),
            undo: step.undo.is_some(),
            pivot: step.is_pivot,
            answered: !step.answers.is_empty(),
        };
        self.steps.iter().map(planned).collect()
    }
}

impl<S: SagaState> Saga<S> {
    /// Begins a definition. The name is a part of the streams' names: never change it.
    pub fn named(name: impl Into<String>) -> SagaBuilder<S, Opened> {
        SagaBuilder {
            definition: Definition {
                name: name.into(),
                starts: Vec::new(),
                cancels: Vec::new(),
                answers: Vec::new(),
                steps: Vec::new(),
                event_types: Vec::new(),
            },
            place: PhantomData,
        }
    }

    /// The saga's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.definition.name
    }
}

/// Nothing but a name.
pub struct Opened;
/// It is said what starts the saga.
pub struct Startable;
/// Behind a step that has no compensation (yet).
pub struct BehindStep;
/// Behind a step and its compensation.
pub struct BehindCompensation;
/// Behind the pivot: only forward.
pub struct BehindPivot;

/// Where a further step may stand, and what may come behind it.
pub trait TakesSteps: sealed::Sealed {
    /// The place behind a further step.
    type Next;
}
/// Where there is still a way back.
pub trait BeforePivot: sealed::Sealed {}
/// Where there is a step that the next call of the builder may be about.
pub trait AtStep: sealed::Sealed {}

impl TakesSteps for Startable {
    type Next = BehindStep;
}
impl TakesSteps for BehindStep {
    type Next = BehindStep;
}
impl TakesSteps for BehindCompensation {
    type Next = BehindStep;
}
impl TakesSteps for BehindPivot {
    type Next = BehindPivot;
}
impl BeforePivot for Startable {}
impl BeforePivot for BehindStep {}
impl BeforePivot for BehindCompensation {}
impl AtStep for BehindStep {}
impl AtStep for BehindCompensation {}
impl AtStep for BehindPivot {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Startable {}
    impl Sealed for super::BehindStep {}
    impl Sealed for super::BehindCompensation {}
    impl Sealed for super::BehindPivot {}
}

/// A definition in the making; `P` is the place in it, which says what may come next.
#[must_use = "a definition does nothing until it is built"]
pub struct SagaBuilder<S, P> {
    definition: Definition<S>,
    place: PhantomData<P>,
}

impl<S: SagaState> SagaBuilder<S, Opened> {
    /// Says which events start an instance, under which key and in which state.
    ///
    /// A key starts once: a further start event with the same key is counted and ignored.
    pub fn started_by<E: Event>(
        mut self,
        start: impl Fn(&E, &RecordedEvent) -> Option<(String, S)> + Send + Sync + 'static,
    ) -> SagaBuilder<S, Startable> {
        let reads = self.reads(start);
        self.definition.starts.push(reads);
        self.at()
    }
}

impl<S: SagaState> SagaBuilder<S, Startable> {
    /// Says which further events start an instance.
    pub fn or_started_by<E: Event>(
        mut self,
        start: impl Fn(&E, &RecordedEvent) -> Option<(String, S)> + Send + Sync + 'static,
    ) -> Self {
        let reads = self.reads(start);
        self.definition.starts.push(reads);
        self
    }

    /// Says which events end the instance with the returned key early: it turns back, unless its
    /// pivot has started. An event for a key that has no instance is counted and ignored.
    pub fn cancelled_by<E: Event>(
        mut self,
        key_of: impl Fn(&E, &RecordedEvent) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let reads = self.reads(key_of);
        self.definition.cancels.push(reads);
        self
    }
}

impl<S: SagaState, P: TakesSteps> SagaBuilder<S, P> {
    /// A step that executes a command. A rejection turns the saga back.
    pub fn step<C>(
        self,
        name: impl Into<String>,
        command: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> SagaBuilder<S, P::Next>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        self.with_step(name.into(), command_call(command), true, false)
    }

    /// A step that calls something outside, such as a payment provider.
    ///
    /// The call is repeated after crashes and failures, always under the same
    /// [`StepContext::command`]: whoever is called must recognise it.
    pub fn call<F>(
        self,
        name: impl Into<String>,
        call: impl Fn(S, StepContext) -> F + Send + Sync + 'static,
    ) -> SagaBuilder<S, P::Next>
    where
        F: Future<Output = StepOutcome<S>> + Send + 'static,
    {
        self.with_step(name.into(), outside_call(call), false, false)
    }
}

impl<S: SagaState, P: BeforePivot> SagaBuilder<S, P> {
    /// The step behind which there is no way back, as a command. If it fails, the saga still turns
    /// back; once it has succeeded, what follows is only ever retried.
    pub fn pivot<C>(
        self,
        name: impl Into<String>,
        command: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> SagaBuilder<S, BehindPivot>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        self.with_step(name.into(), command_call(command), true, true)
    }

    /// The step behind which there is no way back, as a call; see [`SagaBuilder::pivot`].
    pub fn pivot_call<F>(
        self,
        name: impl Into<String>,
        call: impl Fn(S, StepContext) -> F + Send + Sync + 'static,
    ) -> SagaBuilder<S, BehindPivot>
    where
        F: Future<Output = StepOutcome<S>> + Send + 'static,
    {
        self.with_step(name.into(), outside_call(call), false, true)
    }
}

impl<S: SagaState> SagaBuilder<S, BehindStep> {
    /// Undoes the step by a command. A rejection pauses the saga: a "there is nothing to undo"
    /// must be a success that emits nothing.
    pub fn compensate<C>(
        mut self,
        command: impl Fn(&S) -> C + Send + Sync + 'static,
    ) -> SagaBuilder<S, BehindCompensation>
    where
        C: Command,
        C::Aggregate: Decide<C>,
    {
        self.last_step(|step| step.undo = Some(command_undo(command)));
        self.at()
    }

    /// Undoes the step by a call. The step may have had no effect, or not yet:
    /// [`StepContext::effect`] says what is known.
    pub fn compensate_with<F>(
        mut self,
        call: impl Fn(S, StepContext) -> F + Send + Sync + 'static,
    ) -> SagaBuilder<S, BehindCompensation>
    where
        F: Future<Output = CompensationOutcome<S>> + Send + 'static,
    {
        self.last_step(|step| {
            step.undo = Some(Arc::new(move |state, context| Box::pin(call(state, context))));
        });
        self.at()
    }
}

impl<S: SagaState, P: AtStep + BeforePivot> SagaBuilder<S, P> {
    /// Gives the step this long, from the record of its start. When that has passed without an
    /// outcome the step counts as failed, and is compensated itself if it may have had an effect.
    pub fn deadline(mut self, patience: Duration) -> Self {
        self.last_step(|step| step.deadline = Some(patience));
        self
    }
}

impl<S: SagaState, P: AtStep> SagaBuilder<S, P> {
    /// The step ends with an event that answers it, not with its call's return.
    ///
    /// `key_of` says which saga an event answers, `take` what it means for the step. An answer may
    /// come before the call returns, twice, late or never: the first one counts, the others are
    /// recorded and change nothing.
    pub fn answered_by<E: Event>(
        mut self,
        key_of: impl Fn(&E, &RecordedEvent) -> Option<String> + Send + Sync + 'static,
        take: impl Fn(&E, S) -> StepOutcome<S> + Send + Sync + 'static,
    ) -> Self {
        let key_of = Arc::new(key_of);
        let is_answer = key_of.clone();
        let reads = self.reads(move |event: &E, recorded| key_of(event, recorded));
        let step = self.definition.steps.len().saturating_sub(1);
        self.definition.answers.push((step, reads));
        let take: Take<S> = Arc::new(move |recorded, state| {
            let mut events = recorded.decode::<E>().ok()?.into_iter();
            let answer = events.find(|event| is_answer(event, recorded).is_some())?;
            Some(take(&answer, state))
        });
        self.last_step(|step| step.answers.push(take));
        self
    }

    /// How the step, and its compensation, are repeated while they fail for now.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.last_step(|step| step.retry = policy);
        self
    }

    /// Checks the definition.
    ///
    /// # Errors
    /// [`InvalidSaga`] says what is wrong with the name or the steps.
    pub fn build(self) -> Result<Saga<S>, InvalidSaga> {
        let definition = self.definition;
        let saga = || definition.name.clone();
        if definition.name.contains('_') || Category::new(&category_of(&definition.name)).is_err() {
            return Err(InvalidSaga::Name { name: saga() });
        }
        if !definition.name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(InvalidSaga::Name { name: saga() });
        }
        let mut names = HashSet::new();
        if let Some(step) = definition.steps.iter().find(|step| !names.insert(&step.name)) {
            return Err(InvalidSaga::StepTwice { saga: saga(), step: step.name.clone() });
        }
        Ok(Saga { definition: Arc::new(definition) })
    }
}

impl<S: SagaState, P> SagaBuilder<S, P> {
    /// A reader of the family `E`: an event of another family is none of its business, one of its
    /// own that it can't decode is an error, never a silence.
    fn reads<E: Event, T: 'static>(
        &mut self,
        read: impl Fn(&E, &RecordedEvent) -> Option<T> + Send + Sync + 'static,
    ) -> Reads<T> {
        let names = E::stored_names();
        for name in &names {
            if !self.definition.event_types.contains(name) {
                self.definition.event_types.push(name);
            }
        }
        Box::new(move |recorded| {
            if !names.contains(&recorded.event_type.as_str()) {
                return Ok(Decoded::none());
            }
            Ok(recorded.decode::<E>()?.filter_map(|event| read(&event, recorded)))
        })
    }

    fn with_step<Q>(
        mut self,
        name: String,
        call: Call<S>,
        is_command: bool,
        is_pivot: bool,
    ) -> SagaBuilder<S, Q> {
        self.definition.steps.push(Step {
            name,
            call,
            is_command,
            undo: None,
            answers: Vec::new(),
            deadline: None,
            is_pivot,
            retry: RetryPolicy::default(),
        });
        self.at()
    }

    fn last_step(&mut self, change: impl FnOnce(&mut Step<S>)) {
        if let Some(step) = self.definition.steps.last_mut() {
            change(step);
        }
    }

    fn at<Q>(self) -> SagaBuilder<S, Q> {
        SagaBuilder { definition: self.definition, place: PhantomData }
    }
}

fn outside_call<S, F>(call: impl Fn(S, StepContext) -> F + Send + Sync + 'static) -> Call<S>
where
    F: Future<Output = StepOutcome<S>> + Send + 'static,
{
    Arc::new(move |state, context| Box::pin(call(state, context)))
}
