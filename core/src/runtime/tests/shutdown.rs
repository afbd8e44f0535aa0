//! Components see the shutdown, end, and only then the store is closed.

use super::*;

/// Ends a while after it was told to, with an append that must not be lost.
struct Closing {
    says: UnboundedSender<&'static str>,
}

async fn append(store: &dyn EventStore) -> Result<(), AppendError> {
    let event = NewEvent::new("tested", &1).unwrap();
    let stream = StreamId::new("test", "a").unwrap();
    store.append(Append::to(stream, ExpectedVersion::Any, vec![event])).await.map(|_| ())
}

#[async_trait]
impl Component for Closing {
    fn name(&self) -> &str {
        "closing"
    }

    async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
        self.says.send("started").unwrap();
        context.shutdown.cancelled().await;
        self.says.send("cancelled").unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        append(&*context.store).await.map_err(|it| ComponentError::fatal("appending", it))?;
        self.says.send("ended").unwrap();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_components_end_and_then_closes_the_store() {
    let (says, mut said) = unbounded_channel();
    let store = Arc::new(MemoryStore::new());
    let app = Highwater::builder(store.clone()).host(Closing { says }).start().unwrap();
    assert_eq!(said.recv().await, Some("started"));
    let begin = Instant::now();
    app.shutdown().await;
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    assert_eq!((said.try_recv(), said.try_recv()), (Ok("cancelled"), Ok("ended")));
    assert_eq!(health_of(&app, "closing"), ComponentHealth::Stopped);
    assert_eq!(store.high_water_mark().await.unwrap().get(), 1, "its last append is in the log");
    assert!(matches!(append(&*store).await, Err(AppendError::Closed)));
    assert!(!app.health().is_ready(), "traffic should go elsewhere");
    assert!(app.health().is_live());
    app.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_the_pause_before_a_restart() {
    let (reader, mut starts) = scripted("reader", &[Run::Retry]);
    let app = builder().host(reader).start().unwrap();
    for _ in 0..10 {
        start(&mut starts).await;
    }
    until(|| health_of(&app, "reader") == restarting(LOST, 10)).await;
    let begin = Instant::now();
    tokio::time::timeout(AN_HOUR, app.shutdown()).await.expect("it stops");
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(health_of(&app, "reader"), ComponentHealth::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_fails_as_it_is_told_to_stop_is_not_started_again() {
    struct Stubborn;
    #[async_trait]
    impl Component for Stubborn {
        fn name(&self) -> &str {
            "stubborn"
        }

        async fn run(&self, context: ComponentContext) -> Result<(), ComponentError> {
            context.shutdown.cancelled().await;
            panic!("in the middle of its last page");
        }
    }
    let app = builder().host(Stubborn).start().unwrap();
    tokio::time::timeout(AN_HOUR, app.shutdown()).await.expect("it stops");
    assert_eq!(health_of(&app, "stubborn"), ComponentHealth::Stopped);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_application_tells_components_to_stop() {
    let (says, mut said) = unbounded_channel();
    let store = Arc::new(MemoryStore::new());
    let app = Highwater::builder(store.clone()).host(Closing { says }).start().unwrap();
    assert_eq!(said.recv().await, Some("started"));
    drop(app);
    let last_words = async { (said.recv().await, said.recv().await) };
    let last_words = tokio::time::timeout(AN_HOUR, last_words).await.expect("it is told");
    assert_eq!(last_words, (Some("cancelled"), Some("ended")));
    append(&*store).await.expect("nobody closed the store");
}
