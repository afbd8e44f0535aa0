//! What goes in sealed comes out as it was, whatever it is and wherever it stands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::{CheckpointStore, TenantId, TenantStore};

/// Anything, with personal values anywhere in it, in each other as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Anything {
    Nothing,
    Number(i64),
    Text(String),
    List(Vec<Anything>),
    Map(BTreeMap<String, Anything>),
    Secret(Personal<Box<Anything>>),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("\"$personal\":{\"$sealed\":".to_owned()),
        Just("\\\"$sealed\\\":\u{0}".to_owned()),
    ]
}

fn anything() -> impl Strategy<Value = Anything> {
    let leaf = prop_oneof![
        Just(Anything::Nothing),
        any::<i64>().prop_map(Anything::Number),
        text().prop_map(Anything::Text),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        // A key of that name is ours; as any other text it is anybody's.
        let key = text().prop_filter("reserved", |key| !["$personal", "$sealed"].contains(&&**key));
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Anything::List),
            prop::collection::btree_map(key, inner.clone(), 0..5).prop_map(Anything::Map),
            ("[a-c]{1,2}|ä🦀|\"\\\\", inner).prop_map(|(subject, value)| {
                Anything::Secret(Personal::of(subject, Box::new(value)))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_was_sealed_comes_out_as_it_was(value in anything()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let house = House::new();
            house.append(&value).await;
            let raw = last(&*house.raw).await;
            prop_assert!(!marker::PERSONAL.is_in(&raw));
            for log in [&*house.log as &dyn EventStore, &house.elsewhere()] {
                let read: Anything = serde_json::from_str(&last(log).await).unwrap();
                prop_assert_eq!(&read, &value);
            }
            // What was read can be written again, and comes out the same once more.
            let read: Anything = serde_json::from_str(&last(&*house.log).await).unwrap();
            house.append(&read).await;
            let again: Anything = serde_json::from_str(&last(&*house.log).await).unwrap();
            prop_assert_eq!(&again, &value);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn nothing_of_the_value_lies_in_the_store_and_what_is_around_it_does_as_it_was() {
    let house = House::new();
    let data = serde_json::json!({
        "order": 1.50, "to": Personal::of("ann", "Harbour Street"), "also": [Personal::of("bob", 7)],
    });
    house.append(&data).await;
    let raw = last(&*house.raw).await;
    assert!(!raw.contains("Harbour"), "{raw}");
    assert!(raw.contains("\"order\":1.5,"), "{raw}");
    assert!(raw.contains("{\"$sealed\":{\"subject\":\"ann\",\"key\":1,\"data\":\""), "{raw}");
}

#[tokio::test]
async fn an_event_without_personal_data_passes_byte_for_byte_and_asks_for_no_key() {
    let house = House::new();
    house.append(&serde_json::json!({ "a": "$personal", "b": "\"$sealed\":" })).await;
    assert_eq!(last(&*house.raw).await, last(&*house.log).await);
    assert!(house.keys.not_wrapped_by("", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn every_way_to_read_opens() {
    let house = House::new();
    house.append(&Personal::of("ann", "Harbour")).await;
    let (id, version) = (events(&*house.raw).await[0].id, crate::StreamVersion::EMPTY);
    let found = house.log.find(&[id]).await.unwrap();
    assert_eq!(found, house.log.read_stream(&stream(), version, 10).await.unwrap());
    assert_eq!(found, events(&*house.log).await);
    assert!(found[0].data.as_json().contains("Harbour"));
    let received = events(&*house.raw).await.remove(0);
    assert_eq!(house.vault.open_event(received).await.unwrap(), found[0]);
}

#[tokio::test]
async fn what_older_keys_sealed_stays_readable_when_a_subject_gets_a_new_one() {
    let house = House::new();
    for version in 1..=3 {
        house.append(&Personal::of("ann", version)).await;
        assert!(last(&*house.raw).await.contains(&format!("\"key\":{version},")));
        assert_eq!(house.vault.rotate(&subject("ann")).await.unwrap(), Some(version + 1));
    }
    for log in [&*house.log as &dyn EventStore, &house.elsewhere()] {
        let values = events(log).await;
        let values = values.iter().map(|event| event.data.to_value::<Personal<u32>>().unwrap());
        let values: Vec<_> = values.map(|value| *value.reveal().unwrap()).collect();
        assert_eq!(values, [1, 2, 3]);
    }
    house.vault.forget(&subject("ann")).await.unwrap();
    assert_eq!(house.vault.rotate(&subject("ann")).await.unwrap(), None);
}

#[tokio::test]
async fn a_master_key_can_be_replaced_and_the_old_one_destroyed() {
    let house = House::new();
    for person in ["ann", "bob"] {
        house.append(&Personal::of(person, "Harbour")).await;
        house.vault.rotate(&subject(person)).await.unwrap();
    }
    let newer = || MasterKeys::new("newer", SecretKey::from_bytes([1; 32]));
    let both = newer().with_older("test", SecretKey::from_bytes([42; 32]));
    let replacing = Vault::new(house.keys.clone(), both);
    assert_eq!(replacing.rewrap().await.unwrap(), 4);
    assert_eq!(replacing.rewrap().await.unwrap(), 0);
    let with_newer = SealedLog::new(house.raw.clone(), Vault::new(house.keys.clone(), newer()));
    assert!(last(&with_newer).await.contains("Harbour"));
    // Whoever has only the old one reads nothing any more.
    let sealed = house.elsewhere().read_all(&Selection::All, GlobalPosition::START, 9).await;
    assert!(matches!(sealed, Err(crate::ReadError::Unavailable { .. })));
}

#[tokio::test]
async fn a_key_that_does_not_open_keeps_no_other_under_the_old_master_key() {
    let house = House::new();
    for person in ["bob", "cid"] {
        house.append(&Personal::of(person, "Harbour")).await;
    }
    let name = KeyName { subject: subject("ann"), version: 1 };
    let wrapped = WrappedKey { master: "test".into(), bytes: vec![0; 72] };
    house.keys.add(&[StoredKey { name: name.clone(), wrapped }]).await.unwrap();
    let newer = || MasterKeys::new("newer", SecretKey::from_bytes([1; 32]));
    let both = newer().with_older("test", SecretKey::from_bytes([42; 32]));
    let error = Vault::new(house.keys.clone(), both).rewrap().await.unwrap_err();
    let KeyError::NotRewrapped { key, rewrapped: 2, source } = &error else { panic!("{error:?}") };
    assert_eq!(*key, name);
    assert!(matches!(**source, WrapError::Refused { .. }) && !error.is_retryable());
    assert!(!format!("{error} {error:?}").contains("ann"));
    let left = house.keys.not_wrapped_by("newer", None, 9).await.unwrap();
    assert_eq!(left.into_iter().map(|key| key.name).collect::<Vec<_>>(), [name]);
    let with_newer = SealedLog::new(house.raw.clone(), Vault::new(house.keys.clone(), newer()));
    assert!(last(&with_newer).await.contains("Harbour"));
}

#[tokio::test]
async fn states_beside_checkpoints_and_in_snapshots_are_sealed_too() {
    let house = House::new();
    house.append(&1).await;
    let state = crate::Payload::from_value(&Personal::of("ann", "Harbour")).unwrap();
    let claim = house.log.claim("windows").await.unwrap();
    house.log.advance(&claim, GlobalPosition::new(1), Some(&state)).await.unwrap();
    let raw = house.raw.claim("windows").await.unwrap().state.unwrap();
    assert!(!raw.as_json().contains("Harbour"));
    let opened = house.log.claim("windows").await.unwrap().state.unwrap();
    assert!(opened.as_json().contains("Harbour"));

    let own = events(&*house.raw).await.remove(0);
    let schema = crate::StateSchema { name: "test".into(), version: 1 };
    let snapshot = crate::Snapshot {
        stream: stream(),
        schema: schema.clone(),
        version: own.version,
        position: own.position,
        last_event: own.id,
        data: state,
        taken_at: own.recorded_at,
    };
    let (keep, at_most) = (std::num::NonZeroUsize::MIN, own.version);
    house.log.snapshots().unwrap().save_snapshot(&snapshot, keep).await.unwrap();
    let load = async |log: &dyn EventStore| {
        let snapshots = log.snapshots().unwrap();
        snapshots.load_snapshot(&stream(), &schema, at_most).await.unwrap().unwrap().data
    };
    assert!(!load(&*house.raw).await.as_json().contains("Harbour"));
    assert!(load(&*house.log).await.as_json().contains("Harbour"));
    house.vault.forget(&subject("ann")).await.unwrap();
    let state: Personal<String> = load(&*house.log).await.to_value().unwrap();
    assert_eq!(state.reveal(), None);
    // A state that was built before its subject was forgotten is kept without what is gone.
    house.log.snapshots().unwrap().save_snapshot(&snapshot, keep).await.unwrap();
    assert!(load(&*house.raw).await.as_json().contains("\"forgotten\":true"));
}

/// A tenant's ids are masked below the wall, and a sealed value is bound to the id that its tenant knows.
#[tokio::test]
async fn sealed_on_either_side_of_a_tenants_wall_it_opens_on_both() {
    for is_below in [true, false] {
        let house = House::new();
        let tenant = TenantId::new("acme").unwrap();
        let tenants: Arc<dyn EventStore> = if is_below {
            Arc::new(TenantStore::new(house.log.clone(), &tenant))
        } else {
            let wall = Arc::new(TenantStore::new(house.raw.clone(), &tenant));
            Arc::new(SealedLog::new(wall, house.vault.clone()))
        };
        tenants.append(append(&Personal::of("c-7", "a street"))).await.unwrap();
        assert!(last(&*tenants).await.contains("a street"));
        let whole = house.log.read_all(&Selection::All, GlobalPosition::START, 10).await;
        assert!(whole.unwrap().events[0].data.as_json().contains("a street"));
        assert!(last(&*house.raw).await.contains("\"subject\":\"@acme/c-7\""));
        // What a relay sends from behind the wall opens as well.
        let sent = events(&*tenants.sealed().unwrap()).await.remove(0);
        let opened = house.vault.open_event(sent).await.unwrap();
        assert!(opened.data.as_json().contains("a street"));
    }
}
