//! Where the commands to one aggregate meet: a line, served in order, several at a time.
//!
//! # Who may touch what when
//! 1. A desk is served by at most one task, which holds the desk's state while it does. Who puts a
//!    case into an unserved line starts that task; it ends when it finds the line empty, under the
//!    same lock.
//! 2. A line holds at most [`MOST_WAITING`] cases; whoever comes then waits for room, in order of
//!    arrival.
//! 3. Two desks for one aggregate (another process, another handler, one that was forgotten and
//!    opened anew) do no harm: the stream's version lets only one of them append on a state.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::CommandReceipt;
use super::history::Past;
use super::snapshots::Snapshots;
use super::turn::Turn;
use crate::{
    Aggregate, Clock, CommandError, CommandId, Decision, DecisionContext, EventStore, Evolve,
    Metadata, StreamId,
};

/// How many commands to one aggregate may wait in this process.
const MOST_WAITING: usize = 1_024;
/// How many of them are decided on one state and committed together.
const MOST_TOGETHER: usize = 128;

/// How a case ended.
pub(super) enum Answer<A: Aggregate> {
    Result(Result<CommandReceipt, CommandError<A::Rejection>>),
    /// The aggregate's own code panicked: the caller's task goes on with the panic.
    Panicked(Box<dyn Any + Send>),
}

/// A command on its way.
pub(super) struct Case<A: Aggregate> {
    pub(super) command: CommandId,
    /// The id was given by the caller, so the command may have been carried out before.
    pub(super) may_be_repeated: bool,
    pub(super) metadata: Metadata,
    pub(super) decide: Decider<A>,
    reply: oneshot::Sender<Answer<A>>,
    /// Given back when the case is dropped, which is when it is answered.
    _room: OwnedSemaphorePermit,
}

/// Decides a command on a state, as often as need be.
pub(super) type Decider<A> = Box<dyn Fn(&A, &DecisionContext) -> Decision<A> + Send + Sync>;

impl<A: Aggregate> Case<A> {
    /// Answers the case. A caller that is gone doesn't want to know.
    pub(super) fn answer(self, answer: Answer<A>) {
        let _ = self.reply.send(answer);
    }

    pub(super) fn fail(self, error: CommandError<A::Rejection>) {
        self.answer(Answer::Result(Err(error)));
    }
}

/// The desk of one aggregate.
pub(super) struct Desk<A: Aggregate> {
    stream: StreamId,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    snapshots: Arc<Snapshots>,
    line: Mutex<Line<A>>,
    room: Arc<Semaphore>,
}

struct Line<A: Aggregate> {
    cases: VecDeque<Case<A>>,
    is_served: bool,
    /// What the last turn left: committed state, perhaps behind what others have appended since.
    known: Option<Past<A>>,
}

impl<A: Evolve> Desk<A> {
    fn new(
        stream: StreamId,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        Self {
            stream,
            store,
            clock,
            snapshots,
            line: Mutex::new(Line { cases: VecDeque::new(), is_served: false, known: None }),
            room: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }

    /// Puts a command into the line and waits for its answer.
    ///
    /// # Cancel safety
    /// A caller that is dropped before it has room has done nothing; later, its command may still
    /// be carried out.
    pub(super) async fn submit(
        self: Arc<Self>,
        command: CommandId,
        may_be_repeated: bool,
        metadata: Metadata,
        decide: Decider<A>,
    ) -> Answer<A> {
        let Ok(room) = self.room.clone().acquire_owned().await else {
            unreachable!("nobody closes the room");
        };
        let (reply, answer) = oneshot::channel();
        self.push(Case { command, may_be_repeated, metadata, decide, reply, _room: room });
        answer.await.unwrap_or_else(|_| {
            Answer::Panicked(Box::new("the task that serves the aggregate was lost"))
        })
    }

    fn push(self: &Arc<Self>, case: Case<A>) {
        let mut line = self.line();
        line.cases.push_back(case);
        if !line.is_served {
            line.is_served = true;
            // It ends by itself, with the line; `Served` mends what a panic would leave behind.
            tokio::spawn(self.clone().serve());
        }
    }

    async fn serve(self: Arc<Self>) {
        let served = Served { desk: &self };
        while let Some(next) = served.next() {
            let turn = Turn {
                store: &*self.store,
                stream: &self.stream,
                clock: &*self.clock,
                snapshots: &self.snapshots,
            };
            let _busy = A::SNAPSHOTS.is_some().then(|| self.snapshots.turn());
            let mut known = turn.run(next.cases, next.known).await;
            // Behind the answers, and between turns: nobody waits, and all of it has committed.
            if let Some(known) = &mut known {
                self.snapshots.offer_if_due(&self.store, &self.stream, known);
            }
            self.line().known = known;
        }
    }

    /// A poisoned lock still holds a whole line: every change to it is one step.
    fn line(&self) -> MutexGuard<'_, Line<A>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a turn begins with.
struct Next<A: Aggregate> {
    cases: Vec<Case<A>>,
    known: Option<Past<A>>,
}

/// The right to serve a desk. Lost in a panic, it answers nobody's case but lets the next one come.
struct Served<'a, A: Evolve> {
    desk: &'a Desk<A>,
}

impl<A: Evolve> Served<'_, A> {
    /// The next cases and the state to decide them on; `None` gives the right back.
    fn next(&self) -> Option<Next<A>> {
        let mut line = self.desk.line();
        if line.cases.is_empty() {
            line.is_served = false;
            return None;
        }
        let together = line.cases.len().min(MOST_TOGETHER);
        let cases = line.cases.drain(..together).collect();
        Some(Next { cases, known: line.known.take() })
    }
}

impl<A: Evolve> Drop for Served<'_, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut line = self.desk.line();
            // Dropped cases tell their callers that nobody will answer.
            line.cases.clear();
            (line.is_served, line.known) = (false, None);
        }
    }
}

/// The desks of a command handler; those that were used last are kept, with their states.
pub(super) struct Desks {
    open: Mutex<LruCache<(TypeId, StreamId), Open>>,
    age: Option<Duration>,
}

/// A desk, and since when it is open.
struct Open {
    since: Instant,
    desk: Arc<dyn Any + Send + Sync>,
}

impl Desks {
    pub(super) fn new(kept: NonZeroUsize) -> Self {
        Self { open: Mutex::new(LruCache::new(kept)), age: None }
    }

    /// Opens a desk anew that is older than this. The old one serves its line to the end; rule 3.
    pub(super) fn with_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Forgets all desks. Those that are being served end with their lines.
    pub(super) fn close_all(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// As many desks as these, none of them opened yet.
    pub(super) fn anew(&self) -> Self {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        Self { age: self.age, ..Self::new(open.cap()) }
    }

    /// The desk of the aggregate `A` whose stream this is; `whole_name` tells it from those of other
    /// tenants.
    pub(super) fn desk<A: Evolve>(
        &self,
        whole_name: StreamId,
        stream: &StreamId,
        store: &Arc<dyn EventStore>,
        clock: &Arc<dyn Clock>,
        snapshots: &Arc<Snapshots>,
    ) -> Arc<Desk<A>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<A>(), whole_name);
        if let Some(known) = open.get(&key)
            && self.age.is_none_or(|age| known.since.elapsed() < age)
            && let Ok(desk) = known.desk.clone().downcast::<Desk<A>>()
        {
            return desk;
        }
        let desk = Desk::new(stream.clone(), store.clone(), clock.clone(), snapshots.clone());
        let desk = Arc::new(desk);
        open.put(key, Open { since: Instant::now(), desk: desk.clone() });
        desk
    }
}
