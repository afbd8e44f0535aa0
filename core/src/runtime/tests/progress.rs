//! Waiting until a component has come far enough.

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn at(position: u64) -> GlobalPosition {
    GlobalPosition::new(position)
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_as_soon_as_the_component_is_there() {
    let (reader, _) = scripted("reader", &[Run::UntilShutdown]);
    let app = builder().host(reader).start().unwrap();
    let reports = async {
        for position in [1, 2, 3] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            app.progress().report("reader", at(position));
        }
    };
    let begin = Instant::now();
    let waits = async {
        app.caught_up("reader", at(2), PATIENCE).await.unwrap();
        begin.elapsed()
    };
    let (waited, ()) = tokio::join!(waits, reports);
    assert_eq!(waited, Duration::from_secs(2));
    app.caught_up("reader", at(3), Duration::ZERO).await.expect("it is there already");
}

#[tokio::test(start_paused = true)]
async fn a_component_that_stays_behind_is_named_with_where_it_stands() {
    let (reader, _) = scripted("reader", &[Run::UntilShutdown]);
    let app = builder().host(reader).start().unwrap();
    app.progress().report("reader", at(7));
    let begin = Instant::now();
    let error = app.caught_up("reader", at(9), PATIENCE).await.unwrap_err();
    assert_eq!(begin.elapsed(), PATIENCE);
    let CaughtUpError::TimedOut { component, at: stands, wanted, waited_ms } = &error else {
        panic!("{error:?}");
    };
    assert_eq!((component.as_str(), stands.get(), wanted.get()), ("reader", 7, 9));
    assert_eq!(*waited_ms, 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_not_hosted_here_is_not_waited_for() {
    let app = builder().start().unwrap();
    let begin = Instant::now();
    let error = app.caught_up("reader", at(1), PATIENCE).await.unwrap_err();
    assert!(matches!(&error, CaughtUpError::Unknown(name) if name == "reader"), "{error:?}");
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[test]
fn a_component_is_known_once_it_is_expected_or_has_reported() {
    let progress = Progress::new();
    assert_eq!(progress.position("reader"), None);
    progress.expect("reader");
    assert_eq!(progress.position("reader"), Some(GlobalPosition::START));
    progress.report("reader", at(4));
    progress.expect("reader");
    assert_eq!(progress.position("reader"), Some(at(4)), "expecting again forgets nothing");
    progress.clone().report("another", at(1));
    let all = [("another".to_owned(), at(1)), ("reader".to_owned(), at(4))];
    assert_eq!(progress.all(), all);
}
