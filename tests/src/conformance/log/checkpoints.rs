//! Chapter: a checkpoint moves forward, and only for its latest claimant.

use highwater::{CheckpointError, Claim, EventStore, GlobalPosition, Payload, Standing};

use super::LogFactory;
use super::given::position;

/// A consumer nobody has claimed starts before the first event, without a state.
pub async fn the_first_claim_starts_before_the_first_event(log: &dyn LogFactory) {
    let store = log.open().await;
    let claim = store.claim("relay").await.unwrap();
    assert_eq!(claim.consumer, "relay");
    assert_eq!((claim.position, claim.state), (GlobalPosition::START, None));
    assert!(claim.epoch > 0);
}

/// A claim raises the epoch and hands over position and state.
pub async fn a_claim_raises_the_epoch_and_returns_what_was_stored(log: &dyn LogFactory) {
    let store = log.open().await;
    let first = store.claim("relay").await.unwrap();
    store.advance(&first, position(5), Some(&state("at five"))).await.unwrap();
    store.advance(&first, position(7), None).await.unwrap();
    let second = log.open().await.claim("relay").await.unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!((second.position, second.state), (position(7), Some(state("at five"))));
}

/// Who was taken over from is told so, and changes nothing, not even by standing still.
pub async fn a_former_claimant_is_fenced_and_changes_nothing(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    let zombie = store.claim("relay").await.unwrap();
    store.advance(&zombie, position(5), Some(&state("five"))).await.unwrap();
    let holder = other.claim("relay").await.unwrap();
    for late in [3, 5, 9] {
        let refusal =
            store.advance(&zombie, position(late), Some(&state("late"))).await.unwrap_err();
        assert!(!refusal.is_retryable());
        let CheckpointError::Fenced { consumer, epoch } = refusal else {
            panic!("expected to be fenced, got {refusal:?}");
        };
        assert_eq!((consumer.as_str(), epoch), ("relay", zombie.epoch));
    }
    other.advance(&holder, position(6), None).await.unwrap();
    let next = store.claim("relay").await.unwrap();
    assert_eq!((next.position, next.state), (position(6), Some(state("five"))));
}

/// A claim that was never made moves nothing, neither of a known consumer nor of an unknown one.
pub async fn a_claim_that_was_never_made_is_fenced(log: &dyn LogFactory) {
    let store = log.open().await;
    let known = store.claim("known").await.unwrap();
    let of_the_future = Claim { epoch: known.epoch + 1, ..known.clone() };
    let of_nobody = Claim { consumer: "unknown".to_owned(), ..known };
    for forged in [of_the_future, of_nobody] {
        let refusal = store.advance(&forged, position(1), None).await.unwrap_err();
        assert!(matches!(refusal, CheckpointError::Fenced { .. }), "{refusal:?}");
    }
    assert_eq!(store.claim("unknown").await.unwrap().position, GlobalPosition::START);
}

/// A checkpoint never moves back; what is given as the state is stored even so.
pub async fn a_checkpoint_never_moves_back_but_takes_the_state(log: &dyn LogFactory) {
    let store = log.open().await;
    let claim = store.claim("relay").await.unwrap();
    for (to, text) in [(8, "eight"), (3, "back"), (8, "again")] {
        store.advance(&claim, position(to), Some(&state(text))).await.unwrap();
    }
    let stored = store.claim("relay").await.unwrap();
    assert_eq!((stored.position, stored.state), (position(8), Some(state("again"))));
}

/// Advancing without a state keeps the one that is stored; a JSON `null` is a state.
pub async fn no_state_leaves_the_stored_one(log: &dyn LogFactory) {
    let store = log.open().await;
    let claim = store.claim("relay").await.unwrap();
    store.advance(&claim, position(1), Some(&state("kept"))).await.unwrap();
    store.advance(&claim, position(2), None).await.unwrap();
    let claim = store.claim("relay").await.unwrap();
    assert_eq!(claim.state, Some(state("kept")));
    let null = Payload::from_json("null".to_owned()).unwrap();
    store.advance(&claim, position(3), Some(&null)).await.unwrap();
    assert_eq!(store.claim("relay").await.unwrap().state, Some(null));
}

/// Consumers are told apart by their whole name, and don't touch each other.
pub async fn consumers_do_not_touch_each_other(log: &dyn LogFactory) {
    let store = log.open().await;
    let names = ["relay", "Relay", "relay ", "", "relay'; DROP TABLE checkpoints; --", "🦀%_"];
    let mut claims = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let claim = store.claim(name).await.unwrap();
        store.advance(&claim, position(index as u64 + 1), None).await.unwrap();
        claims.push(claim);
    }
    for (index, claim) in claims.iter().enumerate() {
        store.advance(claim, GlobalPosition::START, None).await.unwrap();
        let next = store.claim(names[index]).await.unwrap();
        assert_eq!(next.position, position(index as u64 + 1), "consumer {:?}", names[index]);
    }
}

/// However many claim at the same moment: no two have the same epoch.
pub async fn concurrent_claims_have_epochs_of_their_own(log: &dyn LogFactory) {
    let claims = claimed_at_once(log, 20).await;
    let mut epochs: Vec<u64> = claims.iter().map(|claim| claim.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 20);
}

/// Of all who claimed at the same moment, the one with the highest epoch may advance, no other.
pub async fn of_all_concurrent_claimants_only_the_last_may_advance(log: &dyn LogFactory) {
    let claims = claimed_at_once(log, 12).await;
    let latest = claims.iter().map(|claim| claim.epoch).max();
    let store = log.open().await;
    for claim in &claims {
        let outcome = store.advance(claim, position(claim.epoch), None).await;
        assert_eq!(outcome.is_ok(), Some(claim.epoch) == latest, "{outcome:?}");
    }
    let stored = store.claim("hot").await.unwrap();
    assert_eq!(Some(stored.position.get()), latest);
}

/// Looking at a consumer neither makes it nor ends an epoch, however often it is done.
pub async fn nobody_stands_where_nobody_claimed_and_looking_changes_nothing(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    for name in ["relay", "", "🦀%_"] {
        assert_eq!(store.standing(name).await.unwrap(), None, "{name:?}");
        assert_eq!(other.standing(name).await.unwrap(), None, "{name:?}");
    }
    let claim = store.claim("relay").await.unwrap();
    let first = other.standing("relay").await.unwrap();
    assert_eq!(other.standing("relay").await.unwrap(), first);
    assert_eq!(store.standing("Relay").await.unwrap(), None, "names are compared whole");
    store.advance(&claim, position(1), None).await.unwrap();
}

/// Whoever stands by, in whatever process, sees what the latest claim and its advances have stored.
pub async fn everybody_sees_who_claimed_last_and_how_far_they_came(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    for to in [5, 9] {
        let claim = store.claim("relay").await.unwrap();
        let seen = standing(&*other).await;
        assert_eq!((seen.epoch, seen.position), (claim.epoch, claim.position));
        store.advance(&claim, position(to), None).await.unwrap();
        let seen = standing(&*other).await;
        assert_eq!((seen.epoch, seen.position), (claim.epoch, position(to)));
    }
}

/// A holder that stands at one place is told from a dead one by its beats; nobody else's attempts
/// make it look alive.
pub async fn every_advance_shows_in_the_standing_and_a_refused_one_does_not(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    let zombie = other.claim("relay").await.unwrap();
    let holder = store.claim("relay").await.unwrap();
    let mut last = standing(&*other).await;
    for (to, state_too) in [(5, false), (5, false), (5, true), (2, false), (0, true)] {
        let state = state("kept");
        store.advance(&holder, position(to), state_too.then_some(&state)).await.unwrap();
        let seen = standing(&*other).await;
        assert!(seen.beats > last.beats, "{seen:?} after {last:?}");
        assert_eq!((seen.epoch, seen.position), (holder.epoch, position(5)));
        other.advance(&zombie, position(8), None).await.unwrap_err();
        assert_eq!(standing(&*other).await, seen);
        last = seen;
    }
}

/// Whoever stands by sees whether the holder keeps something beside its place, until it says `null`.
pub async fn the_standing_tells_whether_state_is_kept(log: &dyn LogFactory) {
    let (store, other) = (log.open().await, log.open().await);
    let mut claim = store.claim("relay").await.unwrap();
    assert!(!standing(&*other).await.has_state);
    let null = Payload::from_value(&()).unwrap();
    for (given, is_kept) in [
        (None, false),
        (Some(state("kept")), true),
        (None, true),
        (Some(null.clone()), false),
        (Some(state("again")), true),
    ] {
        store.advance(&claim, position(5), given.as_ref()).await.unwrap();
        assert_eq!(standing(&*other).await.has_state, is_kept);
        claim = store.claim("relay").await.unwrap();
        assert_eq!(standing(&*other).await.has_state, is_kept);
    }
}

async fn standing(store: &dyn EventStore) -> Standing {
    store.standing("relay").await.unwrap().expect("it was claimed")
}

async fn claimed_at_once(log: &dyn LogFactory, count: usize) -> Vec<Claim> {
    let handles = [log.open().await, log.open().await];
    let tasks = (0..count).map(|index| {
        let store = handles[index % 2].clone();
        tokio::spawn(async move { store.claim("hot").await })
    });
    let mut claims = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        claims.push(task.await.unwrap().unwrap());
    }
    claims
}

fn state(text: &str) -> Payload {
    Payload::from_value(&text).unwrap()
}
