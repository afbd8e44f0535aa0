//! Many who want something at the same moment, through several handles of one log.

use std::error::Error;
use std::future::Future;

use highwater::{Boundaries, BoundaryError, BoundaryReceipt};

use super::super::LogFactory;

/// How many processes a crowd is spread over.
const PROCESSES: usize = 3;

/// What a crowd got: the answer to each, in the order of their numbers.
pub(super) struct Crowd<R> {
    pub(super) answers: Vec<Result<BoundaryReceipt, R>>,
}

impl<R: Clone> Crowd<R> {
    pub(super) fn receipts(&self) -> Vec<&BoundaryReceipt> {
        self.answers.iter().filter_map(|answer| answer.as_ref().ok()).collect()
    }

    pub(super) fn rejections(&self) -> Vec<R> {
        self.answers.iter().filter_map(|answer| answer.as_ref().err().cloned()).collect()
    }
}

/// Lets `size` tasks try at once, each until it has an answer. Being overtaken too often isn't one:
/// it asks to try again later, and whoever was overtaken was overtaken by a winner, so it ends.
pub(super) async fn crowd<R, F>(
    log: &dyn LogFactory,
    size: usize,
    attempt: impl Fn(Boundaries, usize) -> F + Clone + Send + 'static,
) -> Crowd<R>
where
    R: Error + Send + Sync + 'static,
    F: Future<Output = Result<BoundaryReceipt, BoundaryError<R>>> + Send + 'static,
{
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(Boundaries::new(log.open().await));
    }
    let tasks: Vec<_> = (0..size)
        .map(|index| {
            let boundaries = processes[index % PROCESSES].clone();
            let attempt = attempt.clone();
            tokio::spawn(async move {
                loop {
                    match attempt(boundaries.clone(), index).await {
                        Err(BoundaryError::Contended { .. }) => tokio::task::yield_now().await,
                        answer => return answer,
                    }
                }
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(match task.await.unwrap() {
            Ok(receipt) => Ok(receipt),
            Err(BoundaryError::Rejected(rejection)) => Err(rejection),
            Err(other) => panic!("neither a yes nor a no: {other:?}"),
        });
    }
    Crowd { answers }
}
