//! What can be wrong before anything runs.

use super::*;

#[tokio::test(start_paused = true)]
async fn two_components_of_one_name_are_refused_and_nothing_is_started() {
    let (one, mut starts) = scripted("orders", &[Run::UntilShutdown]);
    let (two, mut starts_of_two) = scripted("stock", &[Run::UntilShutdown]);
    let (three, _) = scripted("orders", &[Run::UntilShutdown]);
    let refusal = builder().host(one).host(two).host(three).start().err();
    assert_eq!(refusal, Some(StartError::NameTwice("orders".to_owned())));
    // A component that had been started would hold its end until it ran.
    assert_eq!(starts.recv().await, None);
    assert_eq!(starts_of_two.recv().await, None);
}

#[test]
fn without_a_tokio_runtime_nothing_can_be_started() {
    let (reader, _) = scripted("reader", &[Run::UntilShutdown]);
    let refusal = builder().host(reader).start().err();
    assert_eq!(refusal, Some(StartError::NoRuntime));
    assert!(!StartError::NoRuntime.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn every_component_is_known_as_soon_as_the_application_is_started() {
    let (one, _) = scripted("one", &[Run::Fatal]);
    let (two, _) = scripted("two", &[Run::UntilShutdown]);
    let app = builder().host(one).host(two).start().unwrap();
    let names: Vec<_> = app.health().components().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["one", "two"]);
    let start = GlobalPosition::START;
    assert_eq!(app.progress().all(), [("one".to_owned(), start), ("two".to_owned(), start)]);
}

#[tokio::test(start_paused = true)]
async fn an_application_without_components_is_ready_and_stops() {
    let app = builder().start().unwrap();
    assert!(app.health().is_ready() && app.health().is_live());
    app.shutdown().await;
}
