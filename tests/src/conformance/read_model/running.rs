//! Chapter: the runner, over and over, in company, and cut off anywhere.

use std::sync::Arc;

use highwater::projections::ProjectionRunner;
use highwater::{Component, MemoryStore, Progress};
use tokio::task::JoinHandle;

use super::ReadModelFactory;
use super::given::{
    Handle, assert_is_fold, context, count, dropped_after, head, ignored, log_of, reached,
    run_to_head, runner,
};

/// Running again counts nothing again.
pub async fn a_second_run_counts_nothing_twice(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(10).await, factory.open().await);
    for _ in 0..3 {
        run_to_head(&runner(&read_model), &log).await.unwrap();
        assert_is_fold(factory, &log).await;
    }
}

/// What is there when it starts, and what comes while it runs.
pub async fn a_runner_catches_up_and_then_follows(factory: &dyn ReadModelFactory) {
    let log = log_of(10).await;
    let running = Running::start(runner(&factory.open().await), &log);
    for _ in 0..5 {
        reached(&running.progress, head(&log).await).await;
        assert_is_fold(factory, &log).await;
        count(&log, [1, 2, 3, 4]).await;
    }
    reached(&running.progress, head(&log).await).await;
    assert_is_fold(factory, &log).await;
}

/// A reader of few events is no laggard.
pub async fn a_runner_that_reads_few_events_still_reports_the_head(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(1).await, factory.open().await);
    for _ in 0..20 {
        ignored(&log).await;
    }
    run_to_head(&runner(&read_model), &log).await.unwrap();
    assert_eq!(read_model.standing().await.unwrap().position, head(&log).await);
    assert_is_fold(factory, &log).await;
}

/// Killed between any two awaits, from the claim over the page to the report.
pub async fn a_runner_dropped_at_any_await_loses_and_doubles_nothing(
    factory: &dyn ReadModelFactory,
) {
    let (log, read_model) = (log_of(0).await, factory.open().await);
    for polls in 1..80 {
        count(&log, [1, 2, 3, 4]).await;
        ignored(&log).await;
        let runner = runner(&read_model);
        if let Some(ended) = dropped_after(polls, run_to_head(&runner, &log)).await {
            ended.unwrap();
        }
    }
    run_to_head(&runner(&read_model), &log).await.unwrap();
    assert_is_fold(factory, &log).await;
}

/// The page was committed, the answer never came: the next run knows.
pub async fn a_lost_acknowledgement_counts_nothing_twice(factory: &dyn ReadModelFactory) {
    let log = log_of(10).await;
    let handle = Handle::of(&factory.open().await).losing_replies(3);
    let runner = ProjectionRunner::new(handle).with_page_size(2);
    for _ in 0..3 {
        let stopped = run_to_head(&runner, &log).await.unwrap_err();
        assert!(stopped.is_retryable(), "{stopped:?}");
    }
    run_to_head(&runner, &log).await.unwrap();
    assert_is_fold(factory, &log).await;
}

/// Several processes host the projection: one leads, all can be waited for.
pub async fn runners_that_race_count_each_event_once_and_all_report_the_head(
    factory: &dyn ReadModelFactory,
) {
    let log = log_of(10).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(Running::start(runner(&factory.open().await), &log));
        count(&log, 1..20).await;
    }
    for runner in &running {
        reached(&runner.progress, head(&log).await).await;
    }
    assert_is_fold(factory, &log).await;
}

/// The leader dies; another one notices because the log moves on and the checkpoint doesn't.
pub async fn a_runner_that_stands_by_takes_over_from_a_dead_leader(factory: &dyn ReadModelFactory) {
    let log = log_of(3).await;
    let first = Running::start(runner(&factory.open().await), &log);
    reached(&first.progress, head(&log).await).await;
    for round in 0..3 {
        let leader = Running::start(runner(&factory.open().await), &log);
        count(&log, [round]).await;
        reached(&leader.progress, head(&log).await).await;
        drop(leader);
        count(&log, 1..8).await;
        reached(&first.progress, head(&log).await).await;
        assert_is_fold(factory, &log).await;
    }
}

/// Shutdown ends a run between pages, with nothing half done.
pub async fn a_runner_stops_at_shutdown_with_its_last_page_whole(factory: &dyn ReadModelFactory) {
    let (log, read_model) = (log_of(40).await, factory.open().await);
    let context = context(&log);
    let (progress, shutdown) = (context.progress.clone(), context.shutdown.clone());
    let one_page = highwater::GlobalPosition::new(3);
    let runner = runner(&read_model);
    let stopping = async {
        reached(&progress, one_page).await;
        shutdown.cancel();
    };
    let (stopped, ()) = tokio::join!(runner.run(context), stopping);
    stopped.unwrap();
    let standing = read_model.standing().await.unwrap();
    assert_eq!(Some(standing.position), progress.position("tally"));
    assert_eq!(factory.shown().await.journal.last(), Some(&standing.position.get()));
    run_to_head(&runner, &log).await.unwrap();
    assert_is_fold(factory, &log).await;
}

/// A runner in a task, killed when this is dropped.
struct Running {
    task: JoinHandle<()>,
    progress: Progress,
}

impl Running {
    fn start(runner: ProjectionRunner, log: &Arc<MemoryStore>) -> Self {
        let context = context(log);
        let progress = context.progress.clone();
        let task = tokio::spawn(async move { runner.run(context).await.unwrap() });
        Self { task, progress }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
