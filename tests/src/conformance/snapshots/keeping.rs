//! Chapter: what `SnapshotStore` promises by itself.

use futures::future::join_all;
use highwater::{Payload, Snapshot};

use super::given::{kept, load, save, schema, snapshot, snapshots, stream, version};
use crate::conformance::log::LogFactory;

/// Every field comes back, and the JSON text byte for byte.
pub async fn what_was_saved_is_loaded_as_it_was(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    let text = "{\"b\": 1,  \"a\":[ 1.0, \"\\u00e9\" ]}".to_owned();
    let data = Payload::from_json(text.clone()).unwrap();
    let saved = Snapshot { data, ..snapshot(&stream, 7) };
    save(&*store, &saved, 2).await;
    let found = load(&*log.open().await, &stream, u64::MAX).await.unwrap();
    assert_eq!(found.data.as_json(), text);
    assert_eq!(found, saved);
}

/// Nothing is not an error.
pub async fn where_nothing_was_saved_nothing_is_loaded(log: &dyn LogFactory) {
    let store = log.open().await;
    assert_eq!(load(&*store, &stream("a"), u64::MAX).await, None);
    snapshots(&*store).delete_snapshots(&stream("a")).await.unwrap();
}

/// A bound is a bound, whatever else is newer.
pub async fn the_newest_at_or_below_a_version_is_loaded(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    for at in [20, 10, 30] {
        save(&*store, &snapshot(&stream, at), 9).await;
    }
    for (at_most, found) in
        [(9, None), (10, Some(10)), (19, Some(10)), (29, Some(20)), (30, Some(30))]
    {
        let loaded = load(&*store, &stream, at_most).await;
        assert_eq!(loaded.map(|it| it.version.get()), found, "at or below {at_most}");
    }
    assert_eq!(load(&*store, &stream, u64::MAX).await.map(|it| it.version.get()), Some(30));
}

/// A state is never taken for one of another shape, not even for a better one.
pub async fn a_state_of_another_name_or_version_is_not_loaded(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    let theirs = Snapshot { schema: schema("Other", 1), ..snapshot(&stream, 30) };
    let newer = Snapshot { schema: schema("State", 2), ..snapshot(&stream, 20) };
    save(&*store, &theirs, 2).await;
    save(&*store, &newer, 2).await;
    assert_eq!(load(&*store, &stream, u64::MAX).await, None);
    save(&*store, &snapshot(&stream, 10), 2).await;
    assert_eq!(load(&*store, &stream, u64::MAX).await.unwrap().version, version(10));
    for other in [theirs, newer] {
        let found = snapshots(&*store).load_snapshot(&stream, &other.schema, version(99)).await;
        assert_eq!(found.unwrap(), Some(other));
    }
}

/// Neither by loading nor by saving nor by forgetting.
pub async fn streams_do_not_touch_each_other(log: &dyn LogFactory) {
    let store = log.open().await;
    let streams = [stream("a"), stream("A"), stream("a "), stream("aa")];
    for (index, stream) in streams.iter().enumerate() {
        save(&*store, &snapshot(stream, index as u64 + 1), 1).await;
    }
    for (index, stream) in streams.iter().enumerate() {
        assert_eq!(kept(&*store, stream).await, [index as u64 + 1]);
    }
}

/// A late save of an old state costs nothing.
pub async fn an_older_snapshot_never_replaces_a_newer_one(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    for keep in [1, 2] {
        save(&*store, &snapshot(&stream, 20), keep).await;
        save(&*store, &snapshot(&stream, 10), keep).await;
        let newest = load(&*store, &stream, u64::MAX).await.unwrap();
        assert_eq!(newest.version, version(20), "with {keep} kept");
    }
}

/// Whoever comes first, and however they overlap.
pub async fn of_many_saves_at_once_the_newest_stays(log: &dyn LogFactory) {
    let stream = stream("a");
    let handles = [log.open().await, log.open().await, log.open().await];
    for round in 0..20_u64 {
        let saves = (1..=12).map(|at| {
            // In an order of their own each round, so that the newest is early, late, in between.
            let at = round * 100 + (at * 5 + round) % 13 + 1;
            let (store, snapshot) = (&handles[at as usize % 3], snapshot(&stream, at));
            async move {
                save(&**store, &snapshot, 1).await;
                at
            }
        });
        let newest = join_all(saves).await.into_iter().max().unwrap();
        let found = load(&*handles[0], &stream, u64::MAX).await.unwrap();
        assert_eq!(found.version.get(), newest, "round {round}");
        assert_eq!(found.data, snapshot(&stream, newest).data);
    }
    save(&*handles[0], &snapshot(&stream, 10_000), 1).await;
    assert_eq!(kept(&*handles[0], &stream).await, [10_000], "bounded again by the next save");
}

/// And they are the newest ones.
pub async fn no_more_are_kept_than_asked_for(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    for at in 1..=10 {
        save(&*store, &snapshot(&stream, at), 3).await;
    }
    assert_eq!(kept(&*store, &stream).await, [10, 9, 8]);
    save(&*store, &snapshot(&stream, 4), 3).await;
    assert_eq!(kept(&*store, &stream).await, [10, 9, 8], "an older one is superfluous at once");
    save(&*store, &snapshot(&stream, 11), 1).await;
    assert_eq!(kept(&*store, &stream).await, [11]);
}

/// So a snapshot that could not be read is healed by the next one.
pub async fn the_same_version_again_replaces_the_snapshot(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    save(&*store, &snapshot(&stream, 5), 2).await;
    let healed = Snapshot { data: Payload::from_value(&"healed").unwrap(), ..snapshot(&stream, 5) };
    save(&*store, &healed, 2).await;
    assert_eq!(load(&*store, &stream, u64::MAX).await, Some(healed));
    assert_eq!(kept(&*store, &stream).await, [5]);
}

/// Nobody reads them any more; a program of before can live without.
pub async fn a_new_schema_version_ends_the_old_ones(log: &dyn LogFactory) {
    let (store, stream) = (log.open().await, stream("a"));
    for at in [1, 2] {
        save(&*store, &snapshot(&stream, at), 2).await;
    }
    let other = Snapshot { schema: schema("Other", 1), ..snapshot(&stream, 1) };
    save(&*store, &other, 2).await;
    let new = Snapshot { schema: schema("State", 2), ..snapshot(&stream, 1) };
    save(&*store, &new, 2).await;
    assert_eq!(kept(&*store, &stream).await, [0; 0]);
    let others = snapshots(&*store).load_snapshot(&stream, &other.schema, version(9)).await;
    assert_eq!(others.unwrap(), Some(other), "a state of another name stays");
}

/// Whatever their schema, and nobody else's.
pub async fn deleting_forgets_all_of_one_stream(log: &dyn LogFactory) {
    let store = log.open().await;
    let (gone, stays) = (stream("a"), stream("b"));
    let other = Snapshot { schema: schema("Other", 4), ..snapshot(&gone, 3) };
    for saved in [&snapshot(&gone, 1), &snapshot(&gone, 2), &other, &snapshot(&stays, 1)] {
        save(&*store, saved, 9).await;
    }
    snapshots(&*store).delete_snapshots(&gone).await.unwrap();
    assert_eq!(kept(&*store, &gone).await, [0; 0]);
    let others = snapshots(&*store).load_snapshot(&gone, &other.schema, version(9)).await;
    assert_eq!(others.unwrap(), None);
    assert_eq!(kept(&*store, &stays).await, [1]);
}

/// Quotes, emoji, long keys, a megabyte of state, versions beyond what a database counts.
pub async fn hostile_names_and_large_states_come_back_as_they_are(log: &dyn LogFactory) {
    let store = log.open().await;
    for key in ["'; DROP TABLE events; --", "\u{1f980}", "%_\\", &"k".repeat(400)] {
        let stream = stream(key);
        let data = Payload::from_value(&"\u{1f980}'\"\\".repeat(100_000)).unwrap();
        let saved = Snapshot {
            data,
            schema: schema("S'; --\u{1f980}", u32::MAX),
            ..snapshot(&stream, u64::from(u32::MAX))
        };
        save(&*store, &saved, 1).await;
        let found = snapshots(&*store).load_snapshot(&stream, &saved.schema, version(u64::MAX));
        assert_eq!(found.await.unwrap(), Some(saved), "{key}");
    }
}
