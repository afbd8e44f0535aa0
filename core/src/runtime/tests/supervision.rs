//! What becomes of a component that fails.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_component_that_may_go_on_is_started_again_and_health_follows() {
    let (reader, mut starts) = scripted("reader", &[Run::Retry, Run::Retry, Run::UntilShutdown]);
    let app = builder().host(reader).start().unwrap();
    for failures in 1..=2 {
        start(&mut starts).await;
        until(|| health_of(&app, "reader") == restarting(LOST, failures)).await;
        assert!(!app.health().is_ready());
        assert!(app.health().is_live(), "a restart is on its way");
    }
    start(&mut starts).await;
    until(|| app.health().is_ready()).await;
    assert_eq!(health_of(&app, "reader"), ComponentHealth::Running);
}

#[tokio::test(start_paused = true)]
async fn pauses_between_starts_grow_to_a_bound() {
    let (reader, mut starts) = scripted("reader", &[Run::Retry]);
    let _app = builder().host(reader).start().unwrap();
    let mut started = start(&mut starts).await;
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let next = start(&mut starts).await;
        pauses.push(next - started);
        started = next;
    }
    assert!(pauses[0] < Duration::from_millis(150), "{pauses:?}");
    let (least, most) = (Duration::from_secs(5), Duration::from_millis(10_010));
    assert!(pauses[10..].iter().all(|pause| (least..most).contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_once_a_component_was_well_for_a_while() {
    let well = Run::RetryAfter(Duration::from_secs(31));
    let script = [Run::Retry, Run::Retry, Run::Retry, well, Run::UntilShutdown];
    let (reader, mut starts) = scripted("reader", &script);
    let app = builder().host(reader).start().unwrap();
    for _ in 0..3 {
        start(&mut starts).await;
    }
    until(|| health_of(&app, "reader") == restarting(LOST, 3)).await;
    let began = start(&mut starts).await;
    let again = start(&mut starts).await;
    let pause = again - began - Duration::from_secs(31);
    assert!(pause < Duration::from_millis(150), "the first pause again: {pause:?}");
}

#[tokio::test(start_paused = true)]
async fn a_component_that_can_not_go_on_stays_failed_while_the_others_do() {
    let (broken, mut broken_starts) = scripted("broken", &[Run::Fatal]);
    let (sound, mut sound_starts) = scripted("sound", &[Run::Retry, Run::UntilShutdown]);
    let app = builder().host(broken).host(sound).start().unwrap();
    start(&mut broken_starts).await;
    start(&mut sound_starts).await;
    start(&mut sound_starts).await;
    until(|| health_of(&app, "sound") == ComponentHealth::Running).await;
    let error = "can't go on: reading: the table is gone".to_owned();
    assert_eq!(health_of(&app, "broken"), ComponentHealth::Failed { error });
    assert!(!app.health().is_live() && !app.health().is_ready());
    tokio::time::sleep(AN_HOUR).await;
    assert!(broken_starts.try_recv().is_err(), "it is left stopped");
    app.shutdown().await;
    assert!(matches!(health_of(&app, "broken"), ComponentHealth::Failed { .. }));
    assert_eq!(health_of(&app, "sound"), ComponentHealth::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_with_its_text_and_the_component_is_started_again() {
    let script = [Run::Panic, Run::PanicOddly, Run::UntilShutdown];
    let (reader, mut starts) = scripted("reader", &script);
    let (other, _others_starts) = scripted("other", &[Run::UntilShutdown]);
    let app = builder().host(reader).host(other).start().unwrap();
    let told = |text| format!("could not go on for now: it panicked: {text}");
    start(&mut starts).await;
    let first = restarting(&told("index 0 is out of bounds"), 1);
    until(|| health_of(&app, "reader") == first).await;
    assert!(app.health().is_live() && !app.health().is_ready());
    start(&mut starts).await;
    until(|| health_of(&app, "reader") == restarting(&told("no message"), 2)).await;
    start(&mut starts).await;
    until(|| app.health().is_ready()).await;
    assert_eq!(health_of(&app, "other"), ComponentHealth::Running);
    app.shutdown().await;
}
