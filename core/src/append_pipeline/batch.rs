//! One batch on its way: writing it, repeating what was lost, answering its callers.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::limits::Taken;
use super::queue::Waiting;
use super::worker::Shared;
use super::{BatchError, BatchWriter};
use crate::shared_error::SharedError;
use crate::{Append, AppendError, Appended};

/// How often a batch whose commit was lost is repeated. With pauses that double from 20 ms up to
/// two seconds: for some nine seconds, enough for a failover, short of a caller's patience.
const REPETITIONS: usize = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

type Outcome = Result<Appended, AppendError>;

/// Appends in flight. Dropping it releases their streams, whatever ended the flight.
pub(super) struct Batch {
    shared: Arc<Shared>,
    appends: Vec<Append>,
    callers: Vec<Caller>,
}

struct Caller {
    reply: oneshot::Sender<Outcome>,
    /// Given back once the caller is answered.
    _room: Taken,
}

impl Batch {
    pub(super) fn new(shared: Arc<Shared>, taken: Vec<Waiting>) -> Self {
        let (appends, callers) = taken
            .into_iter()
            .map(|waiting| (waiting.append, Caller { reply: waiting.reply, _room: waiting.room }))
            .unzip();
        Self { shared, appends, callers }
    }

    pub(super) fn appends(&self) -> &[Append] {
        &self.appends
    }

    /// Gives every caller its outcome, then lets go of the streams.
    pub(super) fn answer(mut self, outcomes: Vec<Outcome>) {
        for (caller, outcome) in self.callers.drain(..).zip(outcomes) {
            // A caller that is gone doesn't want to know.
            let _ = caller.reply.send(outcome);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.release(&self.appends);
    }
}

/// Writes `appends` until the outcome of each is known, or the store stayed away for too long.
pub(super) async fn settle(
    writer: &dyn BatchWriter,
    appends: &[Append],
    first_pause: Duration,
) -> Vec<Outcome> {
    let settling = Settling { writer, first_pause, is_uncertain: false };
    match settling.settle(appends).await {
        Ok(outcomes) => outcomes,
        Err(away) => away.outcomes(appends, away.is_uncertain).collect(),
    }
}

#[derive(Clone, Copy)]
struct Settling<'a> {
    writer: &'a dyn BatchWriter,
    first_pause: Duration,
    /// True once a try may have been committed: from then on "nothing was written" is no longer
    /// ours to say.
    is_uncertain: bool,
}

/// The store stayed away, and what that means for the appends it was asked for.
struct Away {
    source: SharedError,
    is_uncertain: bool,
}

impl<'a> Settling<'a> {
    async fn settle(mut self, appends: &'a [Append]) -> Result<Vec<Outcome>, Away> {
        let mut pauses = pauses(self.first_pause);
        loop {
            let source = match self.try_once(appends).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(TryError::Broken(source)) => {
                    return Err(Away { source: SharedError::of(source), is_uncertain: true });
                }
                Err(TryError::Batch(BatchError::Interfered { .. })) if appends.len() > 1 => {
                    return Ok(self.settle_each_alone(appends).await);
                }
                Err(TryError::Batch(
                    BatchError::Interfered { source } | BatchError::Unavailable { source },
                )) if !self.is_uncertain => {
                    return Err(Away { source: SharedError::of(source), is_uncertain: false });
                }
                Err(TryError::Batch(
                    BatchError::Interfered { source }
                    | BatchError::Unavailable { source }
                    | BatchError::OutcomeUnknown { source },
                )) => source,
            };
            self.is_uncertain = true;
            let Some(pause) = pauses.next() else {
                return Err(Away { source: SharedError::of(source), is_uncertain: true });
            };
            tracing::warn!(
                appends = appends.len(),
                error = %source,
                "the commit of a batch was lost, repeating it under the same event ids"
            );
            tokio::time::sleep(pause).await;
        }
    }

    /// One transaction each, so that whoever was interfered with stands alone with it. Once the
    /// store is away the rest is not tried: each would wait for the same time-out.
    fn settle_each_alone(self, appends: &'a [Append]) -> BoxFuture<'a, Vec<Outcome>> {
        async move {
            let mut outcomes = Vec::with_capacity(appends.len());
            for (index, alone) in appends.chunks(1).enumerate() {
                match self.settle(alone).await {
                    Ok(outcome) => outcomes.extend(outcome),
                    Err(away) => {
                        outcomes.extend(away.outcomes(alone, away.is_uncertain));
                        outcomes.extend(away.outcomes(&appends[index + 1..], self.is_uncertain));
                        break;
                    }
                }
            }
            outcomes
        }
        .boxed()
    }

    async fn try_once(&self, appends: &[Append]) -> Result<Vec<Outcome>, TryError> {
        // Nothing of ours is changed by the writer, so there is nothing for a panic to leave torn.
        let written = AssertUnwindSafe(self.writer.write(appends)).catch_unwind().await;
        match written {
            Err(_panic) => Err(TryError::Broken(Box::new(BrokenWriter::Panicked))),
            Ok(Err(error)) => Err(TryError::Batch(error)),
            Ok(Ok(outcomes)) if outcomes.len() == appends.len() => Ok(outcomes),
            Ok(Ok(outcomes)) => Err(TryError::Broken(Box::new(BrokenWriter::WrongCount {
                appends: appends.len(),
                outcomes: outcomes.len(),
            }))),
        }
    }
}

type Source = Box<dyn Error + Send + Sync>;

enum TryError {
    Batch(BatchError),
    /// The writer broke its contract: trying again would break it again.
    Broken(Source),
}

#[derive(Debug, thiserror::Error)]
enum BrokenWriter {
    #[error("the store's writer panicked")]
    Panicked,
    #[error("the store's writer gave {outcomes} outcomes for {appends} appends")]
    WrongCount { appends: usize, outcomes: usize },
}

impl Away {
    fn outcomes(&self, appends: &[Append], is_uncertain: bool) -> impl Iterator<Item = Outcome> {
        appends.iter().map(move |_| {
            let source = Box::new(self.source.clone());
            Err(if is_uncertain {
                AppendError::OutcomeUnknown { source }
            } else {
                AppendError::Unavailable { source }
            })
        })
    }
}

fn pauses(first: Duration) -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(REPETITIONS)
        .with_jitter()
        .build()
}
