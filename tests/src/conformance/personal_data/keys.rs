//! What every key store promises.

use std::sync::Arc;

use futures::future::join_all;
use highwater::{KeyName, KeyState, KeyStore, StoredKey, WrappedKey};

use super::PersonalDataFactory;
use super::given::{all_wrapped, key, name, subject};

async fn keys(data: &dyn PersonalDataFactory) -> Arc<dyn KeyStore> {
    data.open().await.1
}

async fn find(keys: &dyn KeyStore, name: KeyName) -> KeyState {
    keys.find(&[name]).await.unwrap().remove(0)
}

async fn newest(keys: &dyn KeyStore, id: &str) -> KeyState {
    keys.newest(&[subject(id)]).await.unwrap().remove(0)
}

async fn add(keys: &dyn KeyStore, key: StoredKey) -> KeyState {
    keys.add(&[key]).await.unwrap().remove(0)
}

/// Contract 2.
pub async fn a_subject_has_no_key_until_one_is_added(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    assert_eq!(newest(&*keys, "ann").await, KeyState::Missing);
    assert_eq!(find(&*keys, name("ann", 1)).await, KeyState::Missing);
    assert!(all_wrapped(&*keys).await.is_empty());
}

/// Contract 2.
pub async fn keys_are_numbered_without_gaps(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    assert_eq!(add(&*keys, key("ann", 2, 2)).await, KeyState::Missing);
    assert_eq!(add(&*keys, key("ann", 1, 1)).await, KeyState::Kept(key("ann", 1, 1)));
    assert_eq!(add(&*keys, key("ann", 3, 3)).await, KeyState::Missing);
    assert_eq!(add(&*keys, key("ann", 0, 9)).await, KeyState::Missing);
    assert_eq!(add(&*keys, key("ann", 2, 2)).await, KeyState::Kept(key("ann", 2, 2)));
    assert_eq!(newest(&*keys, "ann").await, KeyState::Kept(key("ann", 2, 2)));
}

/// A key once added stays what it is.
pub async fn the_newest_key_and_every_older_one_are_found(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    for version in 1..=5 {
        add(&*keys, key("ann", version, version as u8)).await;
        assert_eq!(
            add(&*keys, key("ann", version, 99)).await,
            find(&*keys, name("ann", version)).await
        );
    }
    for version in 1..=5 {
        let kept = KeyState::Kept(key("ann", version, version as u8));
        assert_eq!(find(&*keys, name("ann", version)).await, kept);
    }
    assert_eq!(newest(&*keys, "ann").await, KeyState::Kept(key("ann", 5, 5)));
    for unknown in [0, 6, u32::MAX] {
        assert_eq!(find(&*keys, name("ann", unknown)).await, KeyState::Missing);
    }
}

/// Contract 5.
pub async fn answers_come_in_the_order_of_the_questions(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    keys.add(&[key("ann", 1, 1), key("bob", 1, 2), key("cid", 1, 3)]).await.unwrap();
    keys.forget(&subject("bob")).await.unwrap();
    let asked = ["cid", "nobody", "ann", "bob", "cid"];
    let states = [
        KeyState::Kept(key("cid", 1, 3)),
        KeyState::Missing,
        KeyState::Kept(key("ann", 1, 1)),
        KeyState::Forgotten,
        KeyState::Kept(key("cid", 1, 3)),
    ];
    let subjects: Vec<_> = asked.iter().map(|id| subject(id)).collect();
    assert_eq!(keys.newest(&subjects).await.unwrap(), states);
    let names: Vec<_> = asked.iter().map(|id| name(id, 1)).collect();
    assert_eq!(keys.find(&names).await.unwrap(), states);
    assert!(keys.newest(&[]).await.unwrap().is_empty());
    assert!(keys.find(&[]).await.unwrap().is_empty());
    assert!(keys.add(&[]).await.unwrap().is_empty());
}

/// Adds 16 keys of one name at once, over two handles, and expects one to win.
async fn race(data: &dyn PersonalDataFactory, name: KeyName) {
    let handles = [keys(data).await, keys(data).await];
    let racers = (0..16_u8).map(|mark| {
        let keys = handles[usize::from(mark) % 2].clone();
        let key = key(name.subject.as_str(), name.version, mark);
        tokio::spawn(async move { add(&*keys, key).await })
    });
    let told: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    let kept = find(&*handles[0], name).await;
    assert!(matches!(kept, KeyState::Kept(_)));
    assert!(told.iter().all(|told| *told == kept), "{told:?}");
}

/// Contract 1.
pub async fn of_many_first_keys_one_is_kept_and_everybody_gets_it(data: &dyn PersonalDataFactory) {
    for round in 0..10 {
        race(data, name(&format!("subject-{round}"), 1)).await;
    }
}

/// Contract 1.
pub async fn of_many_next_keys_one_is_kept_and_everybody_gets_it(data: &dyn PersonalDataFactory) {
    for version in 1..=10 {
        race(data, name("ann", version)).await;
    }
}

/// No deadlock, and contract 1 for each of them.
pub async fn many_subjects_at_once_wait_for_each_other_in_one_direction_only(
    data: &dyn PersonalDataFactory,
) {
    let handles = [keys(data).await, keys(data).await];
    let racers = (0..8_u8).map(|mark| {
        let keys = handles[usize::from(mark) % 2].clone();
        let many: Vec<_> = (0..300).map(|n| key(&format!("subject-{n:03}"), 1, mark)).collect();
        tokio::spawn(async move { keys.add(&many).await.unwrap() })
    });
    let told: Vec<_> = join_all(racers).await.into_iter().map(Result::unwrap).collect();
    assert!(told.iter().all(|other| *other == told[0]));
    assert!(told[0].iter().all(|state| matches!(state, KeyState::Kept(_))));
}

/// Contract 3.
pub async fn a_forgotten_subject_has_no_key_and_never_gets_one(data: &dyn PersonalDataFactory) {
    let (here, there) = (keys(data).await, keys(data).await);
    add(&*here, key("ann", 1, 1)).await;
    add(&*here, key("ann", 2, 2)).await;
    add(&*here, key("bob", 1, 3)).await;
    here.forget(&subject("ann")).await.unwrap();
    for keys in [&*here, &*there] {
        for version in 0..=3 {
            assert_eq!(find(keys, name("ann", version)).await, KeyState::Forgotten);
            assert_eq!(add(keys, key("ann", version, 9)).await, KeyState::Forgotten);
        }
        assert_eq!(newest(keys, "ann").await, KeyState::Forgotten);
        assert!(!keys.rewrap(&key("ann", 1, 1), &key("ann", 1, 5).wrapped).await.unwrap());
        assert_eq!(all_wrapped(keys).await, [key("bob", 1, 3)]);
    }
}

/// Contract 3.
pub async fn a_subject_without_keys_can_be_forgotten_and_twice_is_as_good_as_once(
    data: &dyn PersonalDataFactory,
) {
    let keys = keys(data).await;
    for _ in 0..2 {
        keys.forget(&subject("ann")).await.unwrap();
        assert_eq!(add(&*keys, key("ann", 1, 1)).await, KeyState::Forgotten);
        assert_eq!(newest(&*keys, "ann").await, KeyState::Forgotten);
    }
}

/// Contract 3, at the same moment.
pub async fn of_keys_added_while_their_subject_is_forgotten_none_is_left(
    data: &dyn PersonalDataFactory,
) {
    let handles = [keys(data).await, keys(data).await];
    for round in 0..20 {
        let id = format!("subject-{round}");
        // Every other time there is a key already.
        let version = 1 + round % 2;
        if version == 2 {
            add(&*handles[0], key(&id, 1, 0)).await;
        }
        let adding = (0..6_u8).map(|mark| {
            let (keys, key) = (handles[usize::from(mark) % 2].clone(), key(&id, version, mark));
            tokio::spawn(async move { drop(keys.add(&[key]).await.unwrap()) })
        });
        let adding: Vec<_> = adding.collect();
        handles[1].forget(&subject(&id)).await.unwrap();
        assert_eq!(newest(&*handles[0], &id).await, KeyState::Forgotten);
        for task in adding {
            task.await.unwrap();
        }
        assert_eq!(newest(&*handles[0], &id).await, KeyState::Forgotten);
        assert_eq!(find(&*handles[1], name(&id, version)).await, KeyState::Forgotten);
    }
    assert!(all_wrapped(&*handles[0]).await.is_empty());
}

/// Contract 4.
pub async fn a_key_is_wrapped_anew_only_if_nobody_changed_it(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    for version in 1..=3 {
        add(&*keys, key("ann", version, version as u8)).await;
    }
    let new = WrappedKey { master: "new".to_owned(), bytes: vec![77; 72] };
    assert!(keys.rewrap(&key("ann", 2, 2), &new).await.unwrap());
    assert!(!keys.rewrap(&key("ann", 2, 2), &key("ann", 2, 8).wrapped).await.unwrap());
    assert!(!keys.rewrap(&key("ann", 4, 4), &new).await.unwrap());
    assert!(!keys.rewrap(&key("bob", 1, 1), &new).await.unwrap());
    let expected = StoredKey { name: name("ann", 2), wrapped: new };
    assert_eq!(find(&*keys, name("ann", 2)).await, KeyState::Kept(expected));
    assert_eq!(find(&*keys, name("ann", 1)).await, KeyState::Kept(key("ann", 1, 1)));
    assert_eq!(newest(&*keys, "ann").await, KeyState::Kept(key("ann", 3, 3)));
}

/// A page goes on behind the last one, whatever changed in between.
pub async fn keys_that_another_master_wraps_are_listed_page_by_page(
    data: &dyn PersonalDataFactory,
) {
    let keys = keys(data).await;
    let mut expected = Vec::new();
    // Sorted by their bytes, as the names are.
    for id in ["B", "a", "a\"b", "ä", "🦀"] {
        for version in 1..=3 {
            let key = key(id, version, 1);
            add(&*keys, key.clone()).await;
            expected.push(key);
        }
    }
    let new = WrappedKey { master: "new".to_owned(), bytes: vec![9; 72] };
    assert!(keys.rewrap(&expected.remove(4), &new).await.unwrap());
    let mut found: Vec<StoredKey> = Vec::new();
    loop {
        let after = found.last().map(|key| key.name.clone());
        let page = keys.not_wrapped_by("new", after.as_ref(), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected);
    assert_eq!(keys.not_wrapped_by("m", None, 100).await.unwrap().len(), 1);
}

/// Names that a database might take for something else.
pub async fn hostile_subjects_are_kept_apart(data: &dyn PersonalDataFactory) {
    let keys = keys(data).await;
    let long = "x".repeat(255);
    let hostile = [
        "NULL",
        "null",
        "",
        "'; DROP TABLE keys; --",
        "\"",
        "\\",
        "{}",
        "[1]",
        "ä",
        "a\u{308}",
        " ",
        "  ",
        "a",
        "A",
        &long,
    ];
    let hostile: Vec<_> = hostile.into_iter().filter(|id| !id.is_empty()).collect();
    for (mark, id) in hostile.iter().enumerate() {
        add(&*keys, key(id, 1, mark as u8)).await;
    }
    keys.forget(&subject("A")).await.unwrap();
    for (mark, id) in hostile.iter().enumerate() {
        let expected = match *id {
            "A" => KeyState::Forgotten,
            id => KeyState::Kept(key(id, 1, mark as u8)),
        };
        assert_eq!(newest(&*keys, id).await, expected, "{id}");
        assert_eq!(find(&*keys, name(id, 1)).await, expected, "{id}");
    }
}
