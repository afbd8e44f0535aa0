//! Chapter: who holds a read model.

use futures::future::join_all;
use highwater::GlobalPosition;
use highwater::projections::ReadModelError;

use super::ReadModelFactory;
use super::given::{apply_all, assert_is_fold, head, log_of};

/// The first claim creates what is missing and starts before the first event.
pub async fn the_first_claim_starts_before_the_first_event(factory: &dyn ReadModelFactory) {
    let claim = factory.open().await.claim().await.unwrap();
    assert_eq!((claim.consumer.as_str(), claim.position), ("tally", GlobalPosition::START));
    assert!(factory.shown().await.journal.is_empty());
}

/// A further claim has a higher epoch, and stands where the last page ended.
pub async fn a_claim_raises_the_epoch_and_goes_on_where_the_last_page_ended(
    factory: &dyn ReadModelFactory,
) {
    let (log, read_model) = (log_of(5).await, factory.open().await);
    let first = read_model.claim().await.unwrap();
    apply_all(&log, &*read_model, first.clone()).await;
    let second = factory.open().await.claim().await.unwrap();
    assert!(second.epoch > first.epoch);
    assert_eq!(second.position, head(&log).await);
}

/// `prepare` runs with every claim and takes nothing away.
pub async fn preparing_again_keeps_what_is_there(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(5).await, factory.open().await);
    apply_all(&log, &*read_model, read_model.claim().await.unwrap()).await;
    for _ in 0..3 {
        read_model.claim().await.unwrap();
    }
    assert_is_fold(factory, &log).await;
}

/// Processes that find nothing set up and start together don't trip over each other: each has a
/// claim of its own, or learns that it was taken over while it claimed, and the latest one holds.
pub async fn processes_that_start_at_the_same_moment_end_up_with_one_holder(
    factory: &dyn ReadModelFactory,
) {
    let mut starting = Vec::new();
    for _ in 0..8 {
        let read_model = factory.open().await;
        starting.push(tokio::spawn(async move { read_model.claim().await }));
    }
    let mut claims = Vec::new();
    for claim in join_all(starting).await {
        match claim.unwrap() {
            Ok(claim) => claims.push(claim),
            Err(ReadModelError::Fenced { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    claims.sort_unstable_by_key(|claim| claim.epoch);
    assert!(claims.windows(2).all(|pair| pair[0].epoch < pair[1].epoch), "an epoch came twice");
    let (log, read_model) = (log_of(3).await, factory.open().await);
    apply_all(&log, &*read_model, claims.pop().expect("the latest claim holds")).await;
    assert_is_fold(factory, &log).await;
}

/// Looking tells who holds the read model and where it stands, and takes it from nobody.
pub async fn the_standing_tells_epoch_and_position_and_changes_nothing(
    factory: &dyn ReadModelFactory,
) {
    let (log, read_model) = (log_of(3).await, factory.open().await);
    let claim = read_model.claim().await.unwrap();
    let other = factory.open().await;
    assert_eq!(other.standing().await.unwrap().position, GlobalPosition::START);
    apply_all(&log, &*read_model, claim.clone()).await;
    let standing = other.standing().await.unwrap();
    assert_eq!((standing.epoch, standing.position), (claim.epoch, head(&log).await));
}
