//! A worker that has just answered looks for its next batch before others are woken.

use std::pin::Pin;

use super::super::batch::Batch;
use super::*;

type NextBatch = Pin<Box<dyn Future<Output = Option<Batch>> + Send>>;

fn shared() -> Arc<Shared> {
    let (sender, _) = mpsc::unbounded_channel();
    Arc::new(Shared::new(Scripted(sender), PipelineLimits::new(), AppendSignal::new()))
}

/// Queues an append; whoever drops the answer's receiver takes it back.
async fn push(shared: &Shared, key: &str) -> oneshot::Receiver<Result<Appended, AppendError>> {
    let append = to(key);
    let room = shared.room.take(&append).await.expect("the pipeline is open");
    let (reply, answer) = oneshot::channel();
    shared.push(Waiting { append, reply, room }).expect("the pipeline is open");
    answer
}

/// Another worker, which waits to be woken.
async fn idle_worker(shared: &Arc<Shared>) -> NextBatch {
    let shared = shared.clone();
    let mut next: NextBatch = Box::pin(async move { shared.next_batch(None).await });
    assert!(futures::poll!(&mut next).is_pending());
    next
}

fn keys(batch: &Batch) -> Vec<&str> {
    batch.appends().iter().map(|append| append.streams()[0].stream.key()).collect()
}

#[tokio::test]
async fn what_comes_before_it_has_looked_is_left_to_it() {
    let shared = shared();
    let mut idle = idle_worker(&shared).await;
    let about_to_look = shared.about_to_look();
    let _a = push(&shared, "a").await;
    assert!(futures::poll!(&mut idle).is_pending(), "the other one was woken for a crumb");
    let _b = push(&shared, "b").await;
    let batch = shared.next_batch(Some(about_to_look)).await.expect("there are two");
    assert_eq!(keys(&batch), ["a", "b"]);
}

/// What the guard is for: without one that is about to look, a single append wakes a worker.
#[tokio::test]
async fn what_comes_while_nobody_is_about_to_look_wakes_a_worker() {
    let shared = shared();
    let idle = idle_worker(&shared).await;
    let _a = push(&shared, "a").await;
    assert_eq!(keys(&idle.await.expect("there is one")), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_lost_before_it_looks_leaves_what_came_to_another() {
    let shared = shared();
    let idle = idle_worker(&shared).await;
    let about_to_look = shared.about_to_look();
    let _a = push(&shared, "a").await;
    drop(about_to_look);
    let taken = tokio::time::timeout(std::time::Duration::from_secs(1), idle).await;
    assert_eq!(keys(&taken.expect("it was woken").expect("there is one")), ["a"]);
}
