//! The runner over a read model that counts its transactions.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use highwater_core::{
    Append, EventStore, ExpectedVersion, GlobalPosition, MemoryStore, NewEvent, Selection,
    Standing, StreamId,
};
use tokio_util::sync::CancellationToken;

use super::*;

const SOON: Duration = Duration::from_secs(20);

/// A read model of nothing but its checkpoint.
#[derive(Clone, Default)]
struct Counted(Arc<Mutex<(Standing, Vec<usize>)>>);

impl Counted {
    /// How many events each page held that was applied.
    fn pages(&self) -> Vec<usize> {
        self.0.lock().unwrap().1.clone()
    }

    fn position(&self) -> GlobalPosition {
        self.0.lock().unwrap().0.position
    }
}

#[async_trait]
impl ReadModel for Counted {
    fn name(&self) -> &str {
        "counted"
    }

    fn selection(&self) -> Selection {
        Selection::types(["wanted"])
    }

    async fn claim(&self) -> Result<Claim, ReadModelError> {
        let standing = &mut self.0.lock().unwrap().0;
        standing.epoch += 1;
        let (epoch, position) = (standing.epoch, standing.position);
        Ok(Claim { consumer: "counted".to_owned(), epoch, position, state: None })
    }

    async fn apply(&self, claim: &Claim, page: &Page) -> Result<(), ReadModelError> {
        let mut state = self.0.lock().unwrap();
        assert_eq!((state.0.epoch, state.0.position), (claim.epoch, claim.position));
        state.0.position = page.read_to;
        state.1.push(page.events.len());
        Ok(())
    }

    async fn standing(&self) -> Result<Standing, ReadModelError> {
        Ok(self.0.lock().unwrap().0)
    }
}

async fn append(store: &MemoryStore, event_type: &str, count: usize) -> GlobalPosition {
    let events = (0..count).map(|_| NewEvent::new(event_type, &()).unwrap()).collect();
    let stream = StreamId::new("tested", "a").unwrap();
    store.append(Append::to(stream, ExpectedVersion::Any, events)).await.unwrap().position
}

/// Runs a runner of `read_model` beside `course`, which is given what waits for its progress.
async fn beside(
    store: &Arc<MemoryStore>,
    read_model: &Counted,
    course: impl AsyncFnOnce(&ComponentContext),
) {
    let context = ComponentContext::new(store.clone(), CancellationToken::new());
    context.progress.expect("counted");
    let runner = ProjectionRunner::new(read_model.clone());
    let course = async {
        course(&context).await;
        context.shutdown.cancel();
    };
    let (ran, ()) = tokio::join!(runner.run(context.clone()), course);
    ran.unwrap();
}

#[tokio::test]
async fn pages_without_events_are_reported_at_once_and_stored_together() {
    let (store, read_model) = (Arc::new(MemoryStore::new()), Counted::default());
    let started = std::time::Instant::now();
    beside(&store, &read_model, async |context| {
        for _ in 0..40 {
            let head = append(&store, "other", 1).await;
            context.progress.caught_up("counted", head, SOON).await.unwrap();
        }
    })
    .await;
    let due = started.elapsed().as_millis() / 250 + 1;
    let pages = read_model.pages();
    assert!(pages.len() as u128 <= due, "{} transactions", pages.len());
    assert_eq!(read_model.position().get(), 40, "stored before the end");
}

#[tokio::test]
async fn an_event_takes_the_checkpoint_over_the_pages_before_it_in_one_transaction() {
    let (store, read_model) = (Arc::new(MemoryStore::new()), Counted::default());
    beside(&store, &read_model, async |context| {
        let head = append(&store, "other", 3).await;
        context.progress.caught_up("counted", head, SOON).await.unwrap();
        let head = append(&store, "wanted", 2).await;
        context.progress.caught_up("counted", head, SOON).await.unwrap();
        assert_eq!(read_model.position(), head);
    })
    .await;
    assert_eq!(read_model.pages().iter().sum::<usize>(), 2);
    assert_eq!(read_model.pages().last(), Some(&2));
}

#[tokio::test]
async fn a_checkpoint_moves_over_filtered_events_while_nothing_else_comes() {
    let (store, read_model) = (Arc::new(MemoryStore::new()), Counted::default());
    beside(&store, &read_model, async |_| {
        let head = append(&store, "other", 3).await;
        let stored = async {
            while read_model.position() < head {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, stored).await.expect("the checkpoint follows");
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_never_stays_a_thousand_positions_behind() {
    let (store, read_model) = (Arc::new(MemoryStore::new()), Counted::default());
    beside(&store, &read_model, async |context| {
        let head = append(&store, "other", 1_000).await;
        context.progress.caught_up("counted", head, SOON).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(read_model.position(), head);
    })
    .await;
}

/// The log was restored to an earlier point, the read model wasn't.
#[tokio::test]
async fn a_read_model_ahead_of_its_log_gets_no_page_and_stops_its_runner_for_good() {
    let (store, shorter) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let read_model = Counted::default();
    let head = append(&store, "wanted", 5).await;
    append(&shorter, "wanted", 4).await;
    let runner = ProjectionRunner::new(read_model.clone());
    let log: Arc<dyn EventStore> = store;
    assert_eq!(runner.run_until(&log, head).await.unwrap(), head);
    let pages = read_model.pages();

    let log: Arc<dyn EventStore> = shorter.clone();
    let context = ComponentContext::new(log.clone(), CancellationToken::new());
    let stopped = tokio::time::timeout(SOON, runner.run(context)).await.expect("it stops");
    assert!(!stopped.unwrap_err().is_retryable());
    let ReplayError::ReadModel { source, .. } = runner.run_until(&log, head).await.unwrap_err()
    else {
        panic!("the read model is ahead");
    };
    assert!(matches!(source, ReadModelError::AheadOfLog { .. }), "{source:?}");
    assert_eq!(read_model.pages(), pages);

    append(&shorter, "wanted", 1).await;
    assert_eq!(runner.run_until(&log, head).await.unwrap(), head, "level with its log");
}
