//! Whatever was done to sealed text: a typed error that says where, and never what.

use std::error::Error;
use std::num::NonZeroUsize;

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, Engine};

use super::*;
use crate::{
    AppendError, CheckpointError, CheckpointStore, InvalidAppend, Page, Payload, ReadError,
    Snapshot, SnapshotError, StateSchema,
};

/// Reads the log as another process with this master key does, which must fail.
async fn failure(house: &House, master: MasterKeys) -> ReadError {
    let log = SealedLog::new(house.raw.clone(), Vault::new(house.keys.clone(), master));
    let read = log.read_all(&Selection::All, GlobalPosition::START, 10).await;
    let error = read.unwrap_err();
    let told = format!("{error:?} {}", in_full(&error));
    assert!(!told.contains("Harbour") && !told.contains("ann"), "{told}");
    error
}

/// An error with its causes.
fn in_full(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |told, error| format!("{told}: {error}"))
}

fn cause(error: &ReadError) -> (GlobalPosition, &NodeError) {
    let ReadError::Corrupt { position, source } = error else { panic!("{error:?}") };
    let Some(OpenError::Event { position: same, source, .. }) = source.downcast_ref() else {
        panic!("{source:?}")
    };
    assert_eq!(position, same);
    (*position, source)
}

/// A log whose second event was sealed, and then changed by somebody.
async fn changed(change: impl FnOnce(String) -> String) -> House {
    let sealed = House::new();
    sealed.append(&Personal::of("ann", "Harbour Street")).await;
    let event = events(&*sealed.raw).await.remove(0);
    let house = House { raw: Arc::new(MemoryStore::new()), ..sealed };
    house.raw.append(append(&0)).await.unwrap();
    let mut copy = NewEvent::new("tested", &0).unwrap().with_id(event.id);
    copy.data = Payload::from_json(change(event.data.as_json().to_owned())).unwrap();
    house.raw.append(Append::to(stream(), ExpectedVersion::Any, vec![copy])).await.unwrap();
    house
}

#[tokio::test]
async fn untouched_text_opens() {
    let house = changed(|text| text).await;
    assert!(last(&house.elsewhere()).await.contains("Harbour"));
}

#[tokio::test]
async fn changed_text_is_not_authentic_and_its_position_is_told() {
    // Another subject that has a key, the text cut, a byte of it changed.
    type Change = fn(String) -> String;
    let changes: [Change; 3] = [
        |text| text.replace("ann", "bob"),
        |text| text.replacen("\"data\":\"", "\"data\":\"AAAA", 1),
        |text| {
            let start = text.find("\"data\":\"").unwrap() + 8;
            format!("{}{}", &text[..start], &text[start + 40..])
        },
    ];
    for change in changes {
        let house = changed(change).await;
        let other = SealedLog::new(Arc::new(MemoryStore::new()), house.vault.clone());
        other.append(append(&Personal::of("bob", 1))).await.unwrap();
        let error = failure(&house, master()).await;
        let (position, cause) = cause(&error);
        assert_eq!(position, GlobalPosition::new(2));
        assert!(matches!(cause, NodeError::NotAuthentic { version: 1 }), "{cause:?}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn sealed_text_opens_in_its_own_event_only() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour Street")).await;
    let stolen = events(&*house.raw).await.remove(0).data;
    let mut event = NewEvent::new("tested", &0).unwrap();
    event.data = stolen;
    house.raw.append(Append::to(stream(), ExpectedVersion::Any, vec![event])).await.unwrap();
    let error = failure(&house, master()).await;
    assert!(matches!(cause(&error).1, NodeError::NotAuthentic { .. }));
}

#[tokio::test]
async fn a_key_that_was_never_there_is_not_taken_for_a_forgotten_one() {
    let house = changed(|text| text.replace("\"key\":1", "\"key\":2")).await;
    let error = failure(&house, master()).await;
    assert!(matches!(cause(&error).1, NodeError::NoKey { version: 2 }));
}

#[tokio::test]
async fn the_wrong_master_key_is_told_with_the_position_that_it_fails_at() {
    let house = changed(|text| text).await;
    let other = MasterKeys::new("test", SecretKey::from_bytes([1; 32]));
    let error = failure(&house, other).await;
    let (position, wrapped) = cause(&error);
    assert_eq!(position, GlobalPosition::new(2));
    let NodeError::Wrapped { source, .. } = wrapped else { panic!("{wrapped:?}") };
    assert!(matches!(**source, WrapError::Refused { .. }));
}

/// In the middle of a restart of all processes with a new master key.
#[tokio::test]
async fn a_master_key_that_others_were_given_first_is_waited_for() {
    let house = House::new();
    let secret = |byte| SecretKey::from_bytes([byte; 32]);
    let both = MasterKeys::new("new", secret(1)).with_older("test", secret(42));
    let restarted = SealedLog::new(house.raw.clone(), Vault::new(house.keys.clone(), both));
    restarted.append(append(&Personal::of("ann", "Harbour Street"))).await.unwrap();
    let error = failure(&house, master()).await;
    assert!(error.is_retryable() && in_full(&error).contains("\"new\""), "{error:?}");
    let error = house.log.append(append(&Personal::of("ann", "Hill"))).await.unwrap_err();
    assert!(matches!(error, AppendError::Unavailable { .. }) && error.is_retryable(), "{error:?}");
    assert!(in_full(&error).contains("give it to this process"), "{error:?}");
    assert_eq!(events(&*house.raw).await.len(), 1);
    // A process that was given it as an older key goes on, and still wraps with the old one.
    let first_round = master().with_older("new", secret(1));
    let log = SealedLog::new(house.raw.clone(), Vault::new(house.keys.clone(), first_round));
    log.append(append(&Personal::of("bob", "Hill"))).await.unwrap();
    let of_bob = events(&*house.raw).await.pop().unwrap();
    assert!(house.vault.open_event(of_bob).await.is_ok());
    assert!(last(&restarted).await.contains("Hill"));
}

#[tokio::test]
async fn nodes_that_no_vault_writes_are_malformed() {
    for node in [
        "{\"$sealed\":1}",
        "{\"$sealed\":{}}",
        "{\"$sealed\":{\"subject\":\"ann\"}}",
        "{\"$sealed\":{\"subject\":\"ann\",\"key\":1}}",
        "{\"$sealed\":{\"subject\":\"ann\",\"key\":-1,\"data\":\"\"}}",
        "{\"$sealed\":{\"subject\":\"ann\",\"key\":1,\"data\":\"\",\"forgotten\":true}}",
        "{\"$sealed\":{\"subject\":\"ann\",\"key\":1,\"data\":\"no base64\"}}",
        "{\"$sealed\":{\"subject\":\"\",\"forgotten\":true}}",
        "{\"$sealed\":{\"subject\":\"ann\",\"forgotten\":true},\"more\":1}",
    ] {
        let house = House::new();
        house.append(&Personal::of("ann", 0)).await;
        let spoilt = Spoilt { log: house.raw.clone(), node };
        let log = SealedLog::new(Arc::new(spoilt), house.vault);
        let read = log.read_all(&Selection::All, GlobalPosition::START, 10).await;
        let error = read.unwrap_err();
        assert!(matches!(cause(&error).1, NodeError::Malformed), "{node}: {error:?}");
    }
}

/// A log that somebody has written into by hand: no store would take it.
struct Spoilt {
    log: Arc<MemoryStore>,
    node: &'static str,
}

#[async_trait]
impl crate::StoreLayer for Spoilt {
    fn inner(&self) -> &dyn EventStore {
        &*self.log
    }

    async fn read_all(
        &self,
        selection: &Selection,
        after: GlobalPosition,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let mut page = self.log.read_all(selection, after, limit).await?;
        for event in &mut page.events {
            event.data = Payload::from_json(self.node.to_owned()).unwrap();
        }
        Ok(page)
    }
}

/// Whoever has the keys can seal by hand what no vault would.
#[tokio::test]
async fn what_is_sealed_in_each_other_without_end_is_too_deep() {
    let sealed_so_often = async |times: usize| {
        let house = House::new();
        let (key, event) = (SecretKey::random().unwrap(), NewEvent::new("tested", &0).unwrap());
        let name = KeyName { subject: subject("ann"), version: 1 };
        let wrapped = master().wrap(&name, &key).await.unwrap();
        house.keys.add(&[StoredKey { name, wrapped }]).await.unwrap();
        let seal = context::Context::event(None, &stream(), event.id).seal_of("ann", 1);
        let data = (0..times).fold("1".to_owned(), |inside, _| {
            let sealed = BASE64_STANDARD.encode(key.seal(&seal, inside.as_bytes()).unwrap());
            format!("{{\"$sealed\":{{\"subject\":\"ann\",\"key\":1,\"data\":\"{sealed}\"}}}}")
        });
        let event = NewEvent { data: Payload::from_json(data).unwrap(), ..event };
        let append = Append::to(stream(), ExpectedVersion::Any, vec![event]);
        house.raw.append(append).await.unwrap();
        house
    };
    let deep = sealed_so_often(node::MAX_DEPTH).await;
    assert!(last(&deep.elsewhere()).await.contains("\"value\":1"));
    let too_deep = sealed_so_often(node::MAX_DEPTH + 1).await;
    let error = failure(&too_deep, master()).await;
    assert!(matches!(cause(&error).1, NodeError::TooDeep), "{error:?}");
}

/// Copied from one consumer's checkpoint to another's, and into a snapshot.
#[tokio::test]
async fn a_sealed_state_opens_in_its_own_place_only_and_that_place_is_told() {
    let house = House::new();
    house.append(&1).await;
    let state = Payload::from_value(&Personal::of("ann", "Harbour")).unwrap();
    let at = GlobalPosition::new(1);
    let claim = house.log.claim("windows").await.unwrap();
    house.log.advance(&claim, at, Some(&state)).await.unwrap();
    let stolen = house.raw.claim("windows").await.unwrap().state.unwrap();
    let claim = house.raw.claim("doors").await.unwrap();
    house.raw.advance(&claim, at, Some(&stolen)).await.unwrap();
    let error = house.log.claim("doors").await.unwrap_err();
    assert!(is_not_authentic_in(&error, "doors"), "{error:?}");
    // It won't open later either: whoever tried it again would never stop.
    assert!(matches!(error, CheckpointError::Refused { .. }) && !error.is_retryable(), "{error:?}");
    let claim = house.log.claim("windows").await.unwrap();
    let reserved = Payload::from_value(&serde_json::json!({ "$sealed": 1 })).unwrap();
    let error = house.log.advance(&claim, at, Some(&reserved)).await.unwrap_err();
    assert!(matches!(error, CheckpointError::Refused { .. }) && !error.is_retryable(), "{error:?}");

    let event = events(&*house.raw).await.remove(0);
    let snapshot = Snapshot {
        stream: stream(),
        schema: StateSchema { name: "test".into(), version: 1 },
        version: event.version,
        position: event.position,
        last_event: event.id,
        data: stolen,
        taken_at: event.recorded_at,
    };
    let below = house.raw.snapshots().unwrap();
    below.save_snapshot(&snapshot, NonZeroUsize::MIN).await.unwrap();
    let snapshots = house.log.snapshots().unwrap();
    let loaded = snapshots.load_snapshot(&stream(), &snapshot.schema, event.version).await;
    let error = loaded.unwrap_err();
    let told =
        |version| matches!(error, SnapshotError::Corrupt { version: it, .. } if it == version);
    assert!(told(Some(event.version)), "{error:?}");
    assert!(is_not_authentic_in(&error, "a snapshot"), "{error:?}");
}

fn is_not_authentic_in(error: &dyn Error, wanted: &str) -> bool {
    match error.source().and_then(<dyn Error>::downcast_ref) {
        Some(OpenError::State { place, source: NodeError::NotAuthentic { .. } }) => place == wanted,
        _ => false,
    }
}

#[tokio::test]
async fn a_reserved_key_in_data_of_ones_own_is_refused_before_it_is_stored() {
    let house = House::new();
    for (data, reserved) in [
        (serde_json::json!({ "$sealed": 1 }), "$sealed"),
        (serde_json::json!([{ "$personal": 1 }]), "$personal"),
        (serde_json::json!({ "$personal": { "subject": "ann", "value": 1 }, "b": 1 }), "$personal"),
        (serde_json::json!({ "$personal": { "subject": "", "value": 1 } }), "$personal"),
        (serde_json::json!({ "$personal": { "subject": "ann", "value": 1, "x": 1 } }), "$personal"),
        (serde_json::json!(Personal::of("a", serde_json::json!({ "$sealed": 1 }))), "$sealed"),
    ] {
        let append = append(&data);
        let id = append.events().next().unwrap().id;
        let error = house.log.append(append).await.unwrap_err();
        let AppendError::Invalid(invalid) = error else { panic!("{error:?}") };
        assert_eq!(invalid, InvalidAppend::ReservedKey { event: id, key: reserved });
    }
    assert!(events(&*house.raw).await.is_empty());
}

#[tokio::test]
async fn values_that_lie_in_each_other_without_end_are_refused() {
    let house = House::new();
    let depth = 20_000;
    let open = "{\"$personal\":{\"subject\":\"ann\",\"value\":".repeat(depth);
    let mut event = NewEvent::new("tested", &0).unwrap();
    let text = format!("{open}1{}", "}}".repeat(depth));
    event.data = Payload::from_checked_json(text);
    let append = Append::to(stream(), ExpectedVersion::Any, vec![event]);
    let error = house.log.append(append).await.unwrap_err();
    assert!(matches!(error, AppendError::Invalid(InvalidAppend::ReservedKey { .. })), "{error:?}");
}

#[tokio::test]
async fn a_store_without_a_vault_refuses_personal_data() {
    let house = House::new();
    let append = append(&[Personal::of("ann", "Harbour")]);
    let id = append.events().next().unwrap().id;
    let error = house.raw.append(append).await.unwrap_err();
    let AppendError::Invalid(invalid) = &error else { panic!("{error:?}") };
    assert_eq!(*invalid, InvalidAppend::UnsealedPersonalData { event: id });
    assert!(!format!("{error:?} {invalid}").contains("Harbour"));
}
