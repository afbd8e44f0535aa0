//! Chapter: a page is applied as a whole, once, by the latest claimant only.

use highwater::MemoryStore;
use highwater::projections::ReadModelError;

use super::given::{
    append, apply_all, assert_is_fold, count, dropped_after, head, ignored, log_of, next_page,
};
use super::{ReadModelFactory, Shown};

/// A page has its effects, and the checkpoint stands at its end.
pub async fn a_page_has_its_effects_and_moves_the_checkpoint(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(4).await, factory.open().await);
    let claim = read_model.claim().await.unwrap();
    let page = next_page(&log, &*read_model, &claim, 10).await;
    read_model.apply(&claim, &page).await.unwrap();
    assert_is_fold(factory, &log).await;
    assert_eq!(read_model.standing().await.unwrap().position, page.read_to);
}

/// Events that nobody asked for move the checkpoint too.
pub async fn a_page_without_events_moves_the_checkpoint(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (MemoryStore::new(), factory.open().await);
    let claim = read_model.claim().await.unwrap();
    ignored(&log).await;
    let page = next_page(&log, &*read_model, &claim, 10).await;
    assert!(page.events.is_empty());
    read_model.apply(&claim, &page).await.unwrap();
    assert_eq!(read_model.standing().await.unwrap().position, head(&log).await);
    assert_eq!(factory.shown().await, Shown::default());
}

/// A page whose acknowledgement was lost may come again: it is acknowledged, without effect.
pub async fn a_page_applied_again_changes_nothing(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(4).await, factory.open().await);
    let claim = read_model.claim().await.unwrap();
    let page = next_page(&log, &*read_model, &claim, 3).await;
    for _ in 0..3 {
        read_model.apply(&claim, &page).await.unwrap();
    }
    apply_all(&log, &*read_model, read_model.claim().await.unwrap()).await;
    assert_is_fold(factory, &log).await;
}

/// A page that doesn't begin where the checkpoint stands would leave events out.
pub async fn a_page_behind_a_hole_changes_nothing(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(6).await, factory.open().await);
    let claim = read_model.claim().await.unwrap();
    let mut ahead = claim.clone();
    ahead.position = next_page(&log, &*read_model, &claim, 2).await.read_to;
    let page = next_page(&log, &*read_model, &ahead, 2).await;
    let refused = read_model.apply(&ahead, &page).await.unwrap_err();
    assert!(matches!(refused, ReadModelError::Moved { .. }), "{refused:?}");
    assert!(refused.is_retryable());
    assert_eq!(factory.shown().await, Shown::default());
    apply_all(&log, &*read_model, claim).await;
    assert_is_fold(factory, &log).await;
}

/// The late write of a zombie changes nothing.
pub async fn a_former_claimants_page_changes_nothing(factory: &dyn ReadModelFactory) {
    let (log, zombie) = (log_of(4).await, factory.open().await);
    let former = zombie.claim().await.unwrap();
    let page = next_page(&log, &*zombie, &former, 2).await;
    let successor = factory.open().await;
    let latter = successor.claim().await.unwrap();
    let refused = zombie.apply(&former, &page).await.expect_err("the zombie must be refused");
    assert!(matches!(refused, ReadModelError::Fenced { .. }), "{refused:?}");
    assert_eq!(factory.shown().await, Shown::default(), "the zombie wrote");
    apply_all(&log, &*successor, latter).await;
    assert_is_fold(factory, &log).await;
}

/// Also where the successor has written the same page, and more.
pub async fn a_former_claimants_page_is_refused_after_the_successor_wrote_it_too(
    factory: &dyn ReadModelFactory,
) {
    let (log, zombie) = (log_of(4).await, factory.open().await);
    let former = zombie.claim().await.unwrap();
    let page = next_page(&log, &*zombie, &former, 10).await;
    let successor = factory.open().await;
    let latter = successor.claim().await.unwrap();
    apply_all(&log, &*successor, latter).await;
    let refused = zombie.apply(&former, &page).await.expect_err("the zombie must be refused");
    assert!(matches!(refused, ReadModelError::Fenced { .. }), "{refused:?}");
    assert_is_fold(factory, &log).await;
}

/// A claim and a page at the same moment: either the claim stands behind the page, or the page is
/// refused.
pub async fn a_claim_in_the_middle_of_a_page_sees_all_of_it_or_fences_it(
    factory: &dyn ReadModelFactory,
) {
    let log = log_of(0).await;
    let (one, other) = (factory.open().await, factory.open().await);
    for round in 0..15 {
        let former = one.claim().await.unwrap();
        count(&log, [round, round + 1]).await;
        let page = next_page(&log, &*one, &former, 10).await;
        let (applied, latter) = tokio::join!(one.apply(&former, &page), other.claim());
        let latter = latter.unwrap();
        match applied {
            Ok(()) => assert_eq!(latter.position, page.read_to, "the claim missed a page"),
            Err(ReadModelError::Fenced { .. }) => assert_eq!(latter.position, former.position),
            Err(error) => panic!("{error:?}"),
        }
        apply_all(&log, &*other, latter).await;
        assert_is_fold(factory, &log).await;
    }
}

/// Wherever a page is dropped, its effects and the checkpoint are both there or both not.
pub async fn a_page_dropped_at_any_await_is_whole_or_absent(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(0).await, factory.open().await);
    for polls in 1..200 {
        append(&log, highwater::NewEvent::new("tally.ignored", &polls).unwrap()).await;
        count(&log, [1, 2, 3]).await;
        let claim = read_model.claim().await.unwrap();
        let page = next_page(&log, &*read_model, &claim, 10).await;
        let applied = dropped_after(polls, read_model.apply(&claim, &page)).await;
        if let Some(applied) = applied {
            applied.unwrap();
            break;
        }
    }
    apply_all(&log, &*read_model, read_model.claim().await.unwrap()).await;
    assert_is_fold(factory, &log).await;
}
