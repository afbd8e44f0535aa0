//! Chapter: what can't be projected is never skipped.

use std::error::Error;

use highwater::projections::{ProjectError, ProjectionRunner, ReadModelError};
use highwater::{ComponentError, GlobalPosition, MemoryStore, NewEvent};

use super::given::{
    Handle, TallyEvent, append, assert_is_fold, count, log_of, next_page, run_to_head, runner,
};
use super::{ReadModelFactory, Shown};

/// The error names the event; neither effects nor checkpoint moved.
pub async fn an_event_that_cannot_be_projected_leaves_nothing_of_its_page(
    factory: &dyn ReadModelFactory,
) {
    let log = log_of(2).await;
    append(&log, NewEvent::from_event(&TallyEvent::Broken).unwrap()).await;
    count(&log, [9]).await;
    let (position, source) = refused_at(factory, &log).await;
    assert_eq!(position, GlobalPosition::new(3));
    assert!(matches!(source, ProjectError::Failed { .. }), "{source:?}");
}

/// Neither is an event of a shape that this program doesn't know.
pub async fn an_event_that_cannot_be_read_leaves_nothing_of_its_page(
    factory: &dyn ReadModelFactory,
) {
    let log = log_of(1).await;
    append(&log, NewEvent::new("tally.counted", &"of another shape").unwrap()).await;
    let (position, source) = refused_at(factory, &log).await;
    assert_eq!(position, GlobalPosition::new(2));
    assert!(matches!(source, ProjectError::Decode { .. }), "{source:?}");
}

async fn refused_at(
    factory: &dyn ReadModelFactory,
    log: &MemoryStore,
) -> (GlobalPosition, ProjectError) {
    let read_model = factory.open().await;
    let claim = read_model.claim().await.unwrap();
    let page = next_page(log, &*read_model, &claim, 10).await;
    let refused = read_model.apply(&claim, &page).await.unwrap_err();
    assert!(!refused.is_retryable());
    assert_eq!(factory.shown().await, Shown::default(), "a part of the page stayed");
    assert_eq!(read_model.standing().await.unwrap().position, GlobalPosition::START);
    let ReadModelError::Event { stream, position, source, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(stream.as_str(), "tally-1");
    (position, source)
}

/// What a runner returns tells an operator which event to look at, and trying again tells the same.
pub async fn a_runner_stops_in_front_of_a_broken_event_and_names_it(
    factory: &dyn ReadModelFactory,
) {
    let log = log_of(4).await;
    append(&log, NewEvent::from_event(&TallyEvent::Broken).unwrap()).await;
    count(&log, [9]).await;
    let runner = runner(&factory.open().await);
    for _ in 0..2 {
        let stopped = run_to_head(&runner, &log).await.unwrap_err();
        assert!(matches!(stopped, ComponentError::Fatal { .. }), "{stopped:?}");
        let cause = stopped.source().unwrap().to_string();
        assert_eq!(cause, "could not project tally.broken at position 5 of stream tally-1");
        assert_eq!(factory.shown().await.journal, [1, 2, 3], "whole pages before it stay");
    }
}

/// A database that is away for a while costs no event.
pub async fn a_runner_starts_again_after_the_database_was_away(factory: &dyn ReadModelFactory) {
    let log = log_of(7).await;
    let handle = Handle::of(&factory.open().await).refusing_pages(2);
    let runner = ProjectionRunner::new(handle).with_page_size(3);
    for _ in 0..2 {
        let stopped = run_to_head(&runner, &log).await.unwrap_err();
        assert!(stopped.is_retryable(), "{stopped:?}");
    }
    run_to_head(&runner, &log).await.unwrap();
    assert_is_fold(factory, &log).await;
}
