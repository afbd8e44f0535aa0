//! What an application with a vault does: commands, snapshots, sagas, projections, relays.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use highwater::bus::{
    HandleError, InProcessConsumer, Message, MessageHandler, PublishError, Publisher, Relay,
    RouteByCategory, Topic,
};
use highwater::sagas::{RetryPolicy, Saga, SagaManager, StepOutcome};
use highwater::{
    Append, AppendError, CheckpointError, CommandError, Event, EventStore, ExpectedVersion,
    GlobalPosition, Highwater, InvalidAppend, KeyName, KeyState, KeyStore, KeyStoreError, NewEvent,
    Payload, Personal, RecordedEvent, SealedLog, Snapshot, SnapshotError, StoredKey, StreamId,
    StreamVersion, Subject, Vault, WrappedKey,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Barrier, Notify};

use super::super::log::given::{position, stream, to_any};
use super::super::snapshots::given::{kept as kept_versions, snapshot, snapshots};
use super::PersonalDataFactory;
use super::given::{
    Customer, CustomerEvent, HARBOUR, LONG, first_of_type, load, master, moves, process,
    process_with_keys_for, subject, write_to,
};

const PROCESSES: usize = 8;

/// Makes sure that everybody finds the subject without a key before anybody adds one.
pub struct AllAtOnce {
    keys: Arc<dyn KeyStore>,
    found_none: Arc<Barrier>,
    /// Told to: takes its own key for the one that was kept, without looking.
    trusts_itself: bool,
}

#[async_trait]
impl KeyStore for AllAtOnce {
    async fn newest(&self, subjects: &[Subject]) -> Result<Vec<KeyState>, KeyStoreError> {
        let known = self.keys.newest(subjects).await;
        self.found_none.wait().await;
        known
    }

    async fn find(&self, names: &[KeyName]) -> Result<Vec<KeyState>, KeyStoreError> {
        self.keys.find(names).await
    }

    async fn add(&self, keys: &[StoredKey]) -> Result<Vec<KeyState>, KeyStoreError> {
        let kept = self.keys.add(keys).await?;
        match self.trusts_itself {
            true => Ok(keys.iter().cloned().map(KeyState::Kept).collect()),
            false => Ok(kept),
        }
    }

    async fn forget(&self, subject: &Subject) -> Result<(), KeyStoreError> {
        self.keys.forget(subject).await
    }

    async fn rewrap(&self, old: &StoredKey, new: &WrappedKey) -> Result<bool, KeyStoreError> {
        self.keys.rewrap(old, new).await
    }

    async fn not_wrapped_by(
        &self,
        master: &str,
        after: Option<&KeyName>,
        limit: usize,
    ) -> Result<Vec<StoredKey>, KeyStoreError> {
        self.keys.not_wrapped_by(master, after, limit).await
    }
}

/// Many processes seal the first value of one subject at the same moment; true if all of it opens.
pub async fn race_for_the_first_key_is_won_by_one(
    data: &dyn PersonalDataFactory,
    trusts_itself: bool,
) -> bool {
    let found_none = Arc::new(Barrier::new(PROCESSES));
    let mut racers = Vec::new();
    for number in 0..PROCESSES {
        let (log, keys) = data.open().await;
        let keys = AllAtOnce { keys, found_none: found_none.clone(), trusts_itself };
        let log = SealedLog::new(log, Vault::new(Arc::new(keys), master()));
        racers.push(tokio::spawn(async move {
            let event = NewEvent::new("tested", &Personal::of("ann", number)).unwrap();
            let stream = StreamId::new("test", number).unwrap();
            let append = Append::to(stream, ExpectedVersion::NoStream, vec![event]);
            EventStore::append(&log, append).await.unwrap();
        }));
    }
    for racer in join_all(racers).await {
        racer.unwrap();
    }
    let (log, keys) = data.open().await;
    let log = SealedLog::new(log, Vault::new(keys, master()));
    for number in 0..PROCESSES {
        let stream = StreamId::new("test", number).unwrap();
        let Ok(read) = EventStore::read_stream(&log, &stream, StreamVersion::EMPTY, 9).await else {
            return false;
        };
        let value: Personal<usize> = read[0].data.to_value().unwrap();
        assert_eq!(value.reveal(), Some(&number));
    }
    true
}

/// One key wins, and nothing is sealed with another.
pub async fn what_many_processes_seal_with_the_first_key_everybody_opens(
    data: &dyn PersonalDataFactory,
) {
    assert!(race_for_the_first_key_is_won_by_one(data, false).await);
}

/// Commands go on: with what is left, and with a clear "no" to what can't be.
pub async fn a_forgotten_subjects_aggregate_still_loads_and_decides(
    data: &dyn PersonalDataFactory,
) {
    let here = process(data).await.0.start().unwrap();
    here.execute(moves("ann", HARBOUR)).await.unwrap();
    here.execute(moves("bob", HARBOUR)).await.unwrap();
    here.commands().snapshots_settled().await;
    here.forget(&subject("ann")).await.unwrap();
    let there = process(data).await.0.start().unwrap();
    for app in [&here, &there] {
        let ann = load(app, "ann").await;
        assert_eq!((ann.address.clone(), ann.lives_at()), (Some(Personal::forgotten("ann")), None));
        assert_eq!(load(app, "bob").await.lives_at(), Some(HARBOUR));
        app.execute(write_to("ann")).await.unwrap();
        let error = app.execute(moves("ann", "2 Hill")).await.unwrap_err();
        let CommandError::Append { source, .. } = error else { panic!("{error:?}") };
        let is_told =
            matches!(source, AppendError::Invalid(InvalidAppend::SubjectForgotten { .. }));
        assert!(is_told, "{source:?}");
        app.commands().snapshots_settled().await;
    }
    assert_eq!(load(&here, "ann").await.letters, 2);
    here.shutdown().await;
    there.shutdown().await;
}

/// What a warm state holds in plain text goes at once in this process.
pub async fn a_warm_aggregate_forgets_with_its_subject(data: &dyn PersonalDataFactory) {
    let app = process(data).await.0.start().unwrap();
    app.execute(moves("ann", HARBOUR)).await.unwrap();
    app.execute(write_to("ann")).await.unwrap();
    app.forget(&subject("ann")).await.unwrap();
    // Decided on the warm state, this would be a new value of a forgotten subject.
    app.execute(write_to("ann")).await.unwrap();
    assert_eq!(load(&app, "ann").await.letters, 2);
    app.shutdown().await;
}

/// In another process, keys and warm states both end by age.
pub async fn another_process_decides_on_what_was_forgotten_no_longer_than_its_keys_live(
    data: &dyn PersonalDataFactory,
) {
    let age = Duration::from_millis(50);
    let here = process(data).await.0.start().unwrap();
    let there = process_with_keys_for(data, age).await.start().unwrap();
    there.execute(moves("ann", HARBOUR)).await.unwrap();
    here.forget(&subject("ann")).await.unwrap();
    // Until then a letter is either refused or sealed with a key that nobody has.
    let decides = async {
        while there.execute(write_to("ann")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, decides).await.expect("what was forgotten is forgotten there too");
    let stream = StreamId::new("customer", "ann").unwrap();
    let letters = here.store().read_stream(&stream, StreamVersion::EMPTY, 99).await.unwrap();
    for letter in letters {
        assert!(!letter.data.as_json().contains(HARBOUR));
    }
    here.shutdown().await;
    there.shutdown().await;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Welcome {
    customer: String,
    address: Personal<String>,
    /// Made by a step, not read from an event.
    label: Option<Personal<String>>,
}

impl Welcome {
    fn is_readable(&self) -> bool {
        self.address.reveal().is_some()
            || self.label.as_ref().is_some_and(|it| it.reveal().is_some())
    }
}

/// A saga that waits at a gate with an address in its state, looks at it, then writes a letter.
fn welcome(gate: &Arc<Gate>) -> Saga<Welcome> {
    let (gate, behind) = (gate.clone(), gate.clone());
    Saga::named("welcome")
        .started_by(|event: &CustomerEvent, _| match event {
            CustomerEvent::Moved { customer, to } => Some((
                customer.clone(),
                Welcome { customer: customer.clone(), address: to.clone(), label: None },
            )),
            CustomerEvent::WrittenTo { .. } => None,
        })
        .call("label", |state: Welcome, _| async move {
            let label = Some(Personal::of(&state.customer, HARBOUR.to_owned()));
            StepOutcome::done_with(Welcome { label, ..state })
        })
        .compensate_with(|_, _| async { highwater::sagas::CompensationOutcome::NothingToUndo })
        .call("wait", move |state: Welcome, _| {
            let gate = gate.clone();
            async move {
                gate.is_open_for(state.is_readable()).await;
                StepOutcome::done()
            }
        })
        .compensate_with(|_, _| async { highwater::sagas::CompensationOutcome::NothingToUndo })
        .call("look", move |state: Welcome, _| {
            behind.is_readable_behind.fetch_or(state.is_readable(), Ordering::SeqCst);
            async { StepOutcome::done_with(state) }
        })
        .compensate_with(|_, _| async { highwater::sagas::CompensationOutcome::NothingToUndo })
        .pivot("write", |it: &Welcome| write_to(&it.customer))
        .build()
        .unwrap()
}

#[derive(Default)]
struct Gate {
    reached: Notify,
    open: Notify,
    saw_address: AtomicBool,
    is_readable_behind: AtomicBool,
}

impl Gate {
    async fn is_open_for(&self, has_address: bool) {
        self.saw_address.fetch_or(has_address, Ordering::SeqCst);
        self.reached.notify_one();
        self.open.notified().await;
    }
}

/// The state is sealed in the saga's stream, opened for its steps, and gone with its subject.
pub async fn a_saga_goes_on_when_the_subject_in_its_state_is_forgotten(
    data: &dyn PersonalDataFactory,
) {
    let gate = Arc::new(Gate::default());
    let app = process(data).await.0.host(SagaManager::new(welcome(&gate))).start().unwrap();
    app.execute(moves("ann", HARBOUR)).await.unwrap();
    tokio::time::timeout(LONG, gate.reached.notified()).await.expect("the saga starts");
    assert!(gate.saw_address.load(Ordering::SeqCst));
    assert!(!super::given::holds(&data.dump().await, HARBOUR.as_bytes()));
    app.forget(&subject("ann")).await.unwrap();
    gate.open.notify_one();
    let letter = first_of_type(app.store(), "customer.written_to").await;
    let letter = letter.decode::<CustomerEvent>().unwrap();
    assert_eq!(letter.as_slice(), [CustomerEvent::WrittenTo { at: Personal::forgotten("ann") }]);
    assert!(!gate.is_readable_behind.load(Ordering::SeqCst), "a later step read it from memory");
    app.shutdown().await;
}

/// A saga that looks at an address again and again, until it is gone.
fn vigil() -> Saga<Personal<String>> {
    let policy = RetryPolicy::default().with_max_attempts(u32::MAX);
    Saga::named("vigil")
        .started_by(|event: &CustomerEvent, _| match event {
            CustomerEvent::Moved { customer, to } => Some((customer.clone(), to.clone())),
            CustomerEvent::WrittenTo { .. } => None,
        })
        .call("look", |address: Personal<String>, _| async move {
            match address.reveal() {
                Some(_) => StepOutcome::retry("it can be read"),
                None => StepOutcome::done(),
            }
        })
        .retry(policy.with_pauses(Duration::from_millis(1), Duration::from_millis(5)))
        .build()
        .unwrap()
}

/// What another process forgot leaves the memory of sagas with the keys.
pub async fn a_saga_holds_what_another_process_forgot_no_longer_than_keys_live(
    data: &dyn PersonalDataFactory,
) {
    let here = process(data).await.0.start().unwrap();
    let there = process_with_keys_for(data, Duration::from_millis(50)).await;
    let there = there.host(SagaManager::new(vigil())).start().unwrap();
    here.execute(moves("ann", HARBOUR)).await.unwrap();
    first_of_type(here.store(), "saga.step_started").await;
    here.forget(&subject("ann")).await.unwrap();
    first_of_type(here.store(), "saga.completed").await;
    here.shutdown().await;
    there.shutdown().await;
}

fn route() -> RouteByCategory {
    RouteByCategory::new("shop", ["customer"])
}

/// Keeps what it is given.
#[derive(Clone, Default)]
struct Given(Arc<Mutex<Vec<RecordedEvent>>>);

impl Given {
    fn all(&self) -> Vec<RecordedEvent> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Publisher for Given {
    async fn publish(&self, messages: &[Message]) -> Result<(), PublishError> {
        self.0.lock().unwrap().extend(messages.iter().map(|message| message.event.clone()));
        Ok(())
    }
}

#[async_trait]
impl MessageHandler for Given {
    fn consumer(&self) -> &str {
        "in"
    }

    fn topics(&self) -> Vec<Topic> {
        vec![route().topic_of("customer")]
    }

    async fn handle(&self, message: &Message) -> Result<(), HandleError> {
        self.0.lock().unwrap().push(message.event.clone());
        Ok(())
    }
}

/// Inside the house data is open, what leaves it is sealed; a receiver with a vault opens it.
pub async fn a_projection_sees_opened_data_and_a_relay_sealed_data(data: &dyn PersonalDataFactory) {
    let (published, handled) = (Given::default(), Given::default());
    let (builder, _) = process(data).await;
    let app = builder
        .host(Relay::new("out", Arc::new(published.clone()), route()))
        .host(InProcessConsumer::new(handled.clone(), route()))
        .start()
        .unwrap();
    let receipt = app.execute(moves("ann", HARBOUR)).await.unwrap();
    app.caught_up("relay:out", receipt.position, LONG).await.unwrap();
    app.caught_up("consumer:in", receipt.position, LONG).await.unwrap();
    let moved =
        CustomerEvent::Moved { customer: "ann".into(), to: Personal::of("ann", HARBOUR.into()) };
    assert_eq!(
        handled.all()[0].decode::<CustomerEvent>().unwrap().as_slice(),
        std::slice::from_ref(&moved)
    );
    let sent = published.all().remove(0);
    assert!(!sent.data.as_json().contains(HARBOUR));
    let (_, receiver) = process(data).await;
    let opened = receiver.open_event(sent.clone()).await.unwrap();
    assert_eq!(opened.decode::<CustomerEvent>().unwrap().as_slice(), [moved]);
    app.forget(&subject("ann")).await.unwrap();
    let (_, receiver) = process(data).await;
    let opened = receiver.open_event(sent).await.unwrap().decode::<CustomerEvent>().unwrap();
    let CustomerEvent::Moved { to, .. } = &opened.as_slice()[0] else { panic!("{opened:?}") };
    assert_eq!(to.reveal(), None);
    app.shutdown().await;
}

/// Nobody writes personal data in plain text by forgetting the vault.
pub async fn without_a_vault_personal_data_is_refused(data: &dyn PersonalDataFactory) {
    let (log, _) = data.open().await;
    let app = Highwater::builder(log).start().unwrap();
    let error = app.execute(moves("ann", HARBOUR)).await.unwrap_err();
    let CommandError::Append { source, .. } = error else { panic!("{error:?}") };
    let is_refused =
        matches!(source, AppendError::Invalid(InvalidAppend::UnsealedPersonalData { .. }));
    assert!(is_refused, "{source:?}");
    assert_eq!(load(&app, "ann").await, Customer::default());
    let error = app.forget(&subject("ann")).await.unwrap_err();
    assert!(matches!(error, highwater::ForgetError::NoVault));
    assert_eq!(CustomerEvent::TYPES.len(), 2);
    app.shutdown().await;
}

/// Nor sealed data that no vault wrote: one that is put on the log later would stop at it.
pub async fn without_a_vault_no_state_is_kept_unsealed(data: &dyn PersonalDataFactory) {
    let (log, _) = data.open().await;
    let forged = serde_json::json!({ "$sealed": 1 });
    let event = NewEvent::new("forged", &forged).unwrap();
    let id = event.id;
    let error = log.append(to_any(&stream("a"), vec![event])).await.unwrap_err();
    let AppendError::Invalid(invalid) = error else { panic!("{error:?}") };
    assert_eq!(invalid, InvalidAppend::ReservedKey { event: id, key: "$sealed" });

    let claim = log.claim("totals").await.unwrap();
    let kept = snapshot(&stream("a"), 3);
    let personal = Payload::from_value(&[Personal::of("ann", HARBOUR)]).unwrap();
    for state in [personal, Payload::from_value(&forged).unwrap()] {
        let error = log.advance(&claim, position(1), Some(&state)).await.unwrap_err();
        assert!(matches!(error, CheckpointError::Refused { .. }), "{error:?}");
        let unsealed = Snapshot { data: state, ..kept.clone() };
        let saved = snapshots(&*log).save_snapshot(&unsealed, NonZeroUsize::MIN).await;
        let error = saved.unwrap_err();
        assert!(matches!(error, SnapshotError::Refused { .. }), "{error:?}");
    }
    let claim = log.claim("totals").await.unwrap();
    assert_eq!((claim.position, claim.state), (GlobalPosition::START, None));
    assert_eq!(kept_versions(&*log, &stream("a")).await, [0; 0]);
}
