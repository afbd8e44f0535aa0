//! Where the commands to one aggregate meet: a line, served in order, several at a time.
//!
//! # Who may touch what when
//! 1. A desk is served by at most one task, which holds the desk's state while it does. Who puts a
//!    case into an unserved line starts that task; it ends when it finds the line empty, under the
//!    same lock. Lost in any other way (a panic, the end of its runtime, before it ever ran), it tells
//!    everybody in the line that nobody knows, and the next case starts another.
//! 2. A line holds at most [`MOST_WAITING`] cases; whoever comes then waits for room, in order of
//!    arrival.
//! 3. Two desks for one aggregate (another process, another handler, one that was forgotten and
//!    opened anew) do no harm: the stream's version lets only one of them append on a state.
//! 4. A state that was read before all were told to forget ([`Desks::close_all`]) is used by no turn
//!    that begins afterwards, at whichever of the handlers that were made from one another. Nor is one
//!    that was read before the store forgot somebody ([`EventStore::forgettings`]), or that was loaded
//!    longer ago than states may be kept, however long its line is.

use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::CommandReceipt;
use super::history::Past;
use super::snapshots::Snapshots;
use super::turn::Turn;
use super::warmth::{WarmSince, Warmth};
use crate::{
    Aggregate, AppendError, Clock, CommandError, CommandId, Decision, DecisionContext, EventStore,
    Evolve, Metadata, StreamId,
};

/// How many commands to one aggregate may wait in this process.
const MOST_WAITING: usize = 1_024;
/// How many of them are decided on one state and committed together.
const MOST_TOGETHER: usize = 128;

/// How many desks that are too old are closed whenever one is asked for. One is opened at most.
const SWEPT_AT_ONCE: usize = 4;

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
    warmth: Warmth,
    line: Mutex<Line<A>>,
    room: Arc<Semaphore>,
}

struct Line<A: Aggregate> {
    cases: VecDeque<Case<A>>,
    is_served: bool,
    /// What the last turn left: committed state, perhaps behind what others have appended since.
    known: Option<Past<A>>,
    known_since: WarmSince,
}

impl<A: Evolve> Desk<A> {
    fn new(
        stream: StreamId,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        snapshots: Arc<Snapshots>,
        warmth: Warmth,
    ) -> Self {
        let known_since = warmth.now();
        let cases = VecDeque::new();
        Self {
            stream,
            store,
            clock,
            snapshots,
            warmth,
            line: Mutex::new(Line { cases, is_served: false, known: None, known_since }),
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
            let source = AppendError::OutcomeUnknown { source: Box::new(Lost) };
            Answer::Result(Err(CommandError::Append { command, source }))
        })
    }

    fn push(self: &Arc<Self>, case: Case<A>) {
        let is_served = {
            let mut line = self.line();
            line.cases.push_back(case);
            std::mem::replace(&mut line.is_served, true)
        };
        if !is_served {
            // Not under the line's lock: a runtime that is ending drops the task at once, and with it
            // what gives the right to serve back.
            tokio::spawn(Served { desk: self.clone(), has_ended: false }.serve());
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
    since: WarmSince,
}

/// The right to serve a desk. Lost, it answers nobody's case but lets the next one come.
struct Served<A: Evolve> {
    desk: Arc<Desk<A>>,
    has_ended: bool,
}

/// The task that served the aggregate was lost together with the answer.
#[derive(Debug, thiserror::Error)]
#[error("the task that carried the command out was lost")]
struct Lost;

impl<A: Evolve> Served<A> {
    async fn serve(mut self) {
        while let Some(next) = self.next() {
            let desk = &*self.desk;
            let turn = Turn {
                store: &*desk.store,
                stream: &desk.stream,
                clock: &*desk.clock,
                snapshots: &desk.snapshots,
            };
            let _busy = A::SNAPSHOTS.is_some().then(|| desk.snapshots.turn());
            let mut known = turn.run(next.cases, next.known).await;
            // Behind the answers, and between turns: nobody waits, and all of it has committed.
            if let Some(known) = &mut known {
                desk.snapshots.offer_if_due(&desk.store, &desk.stream, known);
            }
            let mut line = desk.line();
            (line.known, line.known_since) = (known, next.since);
        }
    }

    /// The next cases and the state to decide them on; `None` gives the right back.
    fn next(&mut self) -> Option<Next<A>> {
        let mut line = self.desk.line();
        if line.cases.is_empty() {
            line.is_served = false;
            self.has_ended = true;
            return None;
        }
        let together = line.cases.len().min(MOST_TOGETHER);
        let cases = line.cases.drain(..together).collect();
        let (warmth, store) = (&self.desk.warmth, &*self.desk.store);
        let (now, since) = (warmth.reading(store), line.known_since);
        let known = line.known.take().filter(|_| warmth.lasts_of(since, store));
        let since = if known.is_some() { since } else { now };
        Some(Next { cases, known, since })
    }
}

impl<A: Evolve> Drop for Served<A> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let lost = {
            let mut line = self.desk.line();
            (line.is_served, line.known) = (false, None);
            std::mem::take(&mut line.cases)
        };
        // Dropped cases tell their callers that nobody will answer.
        drop(lost);
    }
}

/// The desks of a command handler; those that were used last are kept, with their states.
pub(super) struct Desks {
    open: Mutex<OpenDesks>,
    warmth: Warmth,
}

struct OpenDesks {
    by_aggregate: LruCache<(TypeId, StreamId), Open>,
    /// Nobody was forgotten between this and when these desks were opened.
    since: WarmSince,
}

/// A desk, and since when it is open.
struct Open {
    since: WarmSince,
    desk: Arc<dyn Any + Send + Sync>,
}

impl Desks {
    pub(super) fn new(kept: NonZeroUsize) -> Self {
        Self::of(kept, Warmth::default())
    }

    fn of(kept: NonZeroUsize, warmth: Warmth) -> Self {
        // A bound isn't a need: no room is made in advance, however high it is.
        let mut by_aggregate = LruCache::unbounded();
        by_aggregate.resize(kept);
        let since = warmth.now();
        Self { open: Mutex::new(OpenDesks { by_aggregate, since }), warmth }
    }

    /// As many desks as these, none of them opened yet, and each opened anew once it is older than
    /// this. The old one serves its line to the end; rule 3.
    pub(super) fn anew_with_age(&self, age: Duration) -> Self {
        Self { warmth: self.warmth.with_age(age), ..self.anew() }
    }

    /// Forgets the states of all desks, of these and of those that were made from them or that they
    /// were made from. Desks that are being served end with their lines.
    pub(super) fn close_all(&self) {
        self.warmth.forget();
        self.open().close_forgotten(&self.warmth);
    }

    pub(super) fn warm_since(&self, store: &dyn EventStore) -> WarmSince {
        self.warmth.reading(store)
    }

    pub(super) fn is_still_warm(&self, since: WarmSince, store: &dyn EventStore) -> bool {
        self.warmth.lasts_of(since, store)
    }

    /// As many desks as these, none of them opened yet.
    pub(super) fn anew(&self) -> Self {
        let kept = self.open().by_aggregate.cap();
        self.anew_for(kept)
    }

    /// So many desks, none of them opened yet.
    pub(super) fn anew_for(&self, kept: NonZeroUsize) -> Self {
        Self::of(kept, self.warmth.clone())
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
        let mut open = self.open();
        open.close_forgotten(&self.warmth);
        open.close_old(&self.warmth);
        let key = (TypeId::of::<A>(), whole_name);
        if let Some(known) = open.by_aggregate.get(&key)
            && self.warmth.lasts(known.since)
            && let Ok(desk) = known.desk.clone().downcast::<Desk<A>>()
        {
            return desk;
        }
        let warmth = self.warmth.clone();
        let since = warmth.now();
        let (stream, store, clock) = (stream.clone(), store.clone(), clock.clone());
        let desk = Arc::new(Desk::new(stream, store, clock, snapshots.clone(), warmth));
        open.by_aggregate.put(key, Open { since, desk: desk.clone() });
        desk
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.open().by_aggregate.len()
    }

    fn open(&self) -> MutexGuard<'_, OpenDesks> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenDesks {
    fn close_forgotten(&mut self, warmth: &Warmth) {
        let now = warmth.now();
        if !now.is_as_forgetful_as(self.since) {
            self.by_aggregate.clear();
            self.since = now;
        }
    }

    /// Closes a few of those that nobody has asked for in a long time, beginning with the one
    /// that was used longest ago: who comes before another there was also opened before that one's
    /// last use. So what goes unused for an age is at the front of those to be closed.
    fn close_old(&mut self, warmth: &Warmth) {
        for _ in 0..SWEPT_AT_ONCE {
            match self.by_aggregate.peek_lru() {
                Some((_, open)) if !warmth.lasts(open.since) => self.by_aggregate.pop_lru(),
                _ => return,
            };
        }
    }
}
