//! Who is next: appends in order of arrival, at most one per stream at a time. Pure data, no I/O.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::oneshot;

use super::limits::{PipelineLimits, Taken, weight_bytes};
use super::share::Share;
use crate::{Append, AppendError, Appended, StreamId};

/// An append on its way, and who waits for it.
pub(super) struct Waiting {
    pub(super) append: Append,
    pub(super) reply: oneshot::Sender<Result<Appended, AppendError>>,
    pub(super) room: Taken,
}

/// The order of arrival.
type Turn = u64;

/// How many conditional appends a batch holds at most: whether one asks about the other is looked at
/// in pairs.
const CONDITIONAL_APPENDS: usize = 100;

/// Beside a batch that is being written, another begins once it has a half of that one's size; unless
/// others append more than this process, whose batches then keep the disk busy as it is.
const CROWD_PER_BATCH: usize = 2;
/// This many appends are worth a batch whatever is being written.
const AMPLE: usize = 100;

/// Appends that wait for a batch.
///
/// An append waits for every earlier one that shares a stream with it, and for nothing else. Turns
/// only ever wait for lower turns, so the wait can't go round in a circle.
#[derive(Default)]
pub(super) struct Queue {
    next_turn: Turn,
    /// For every stream that has a holder (ready or in flight): who waits behind it.
    streams: HashMap<StreamId, VecDeque<Turn>>,
    /// Appends that wait for a stream, with the number of streams they wait for.
    blocked: HashMap<Turn, (Waiting, usize)>,
    /// Appends that hold all of their streams.
    ready: BTreeMap<Turn, Waiting>,
    /// How many of these have a condition.
    ready_conditional: usize,
    /// True while a batch of conditional appends is written (invariant 3).
    has_conditions_in_flight: bool,
    /// How many appends without a condition are being written.
    plain_in_flight: usize,
    /// What this process appends, beside what others do.
    pub(super) share: Share,
    /// How many workers are about to look for a batch.
    pub(super) about_to_look: usize,
    pub(super) is_closed: bool,
}

impl Queue {
    pub(super) fn push(&mut self, waiting: Waiting) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let mut waits_for = 0;
        for part in waiting.append.streams() {
            match self.streams.entry(part.stream.clone()) {
                Entry::Vacant(free) => {
                    free.insert(VecDeque::new());
                }
                Entry::Occupied(mut held) => {
                    held.get_mut().push_back(turn);
                    waits_for += 1;
                }
            }
        }
        if waits_for == 0 {
            self.make_ready(turn, waiting);
        } else {
            self.blocked.insert(turn, (waiting, waits_for));
        }
    }

    /// True if enough is ready for a batch (invariant 4).
    pub(super) fn has_batch(&self) -> bool {
        self.is_condition_next() || self.is_crowd()
    }

    /// True if appends without a condition are ready, few beside those in flight (invariant 4).
    pub(super) fn has_few(&self) -> bool {
        self.ready_plain() > 0 && !self.is_crowd()
    }

    /// True if a worker is to be woken: for a batch, or to keep an eye on few. One that is about to look
    /// sees for itself, and wakes others for what it leaves.
    pub(super) fn wants_worker(&self) -> bool {
        self.about_to_look == 0 && (self.has_batch() || self.has_few())
    }

    fn is_condition_next(&self) -> bool {
        self.ready_conditional > 0 && !self.has_conditions_in_flight
    }

    fn is_crowd(&self) -> bool {
        let (ready, in_flight) = (self.ready_plain(), self.plain_in_flight);
        let is_half = ready * CROWD_PER_BATCH >= in_flight && !self.share.is_smaller_part();
        ready > 0 && (in_flight == 0 || is_half || ready >= AMPLE)
    }

    fn ready_plain(&self) -> usize {
        self.ready.len() - self.ready_conditional
    }

    /// True while a batch is being written.
    pub(super) fn is_any_in_flight(&self) -> bool {
        self.plain_in_flight > 0 || self.has_conditions_in_flight
    }

    /// Takes the next batch; empty if there isn't enough for one, unless few are taken, too. The
    /// appends keep their streams until they are [released](Self::release_batch).
    pub(super) fn take_batch(&mut self, limits: &PipelineLimits, takes_few: bool) -> Vec<Waiting> {
        let mut batch: Vec<Waiting> = Vec::new();
        let takes_plain = takes_few || self.is_crowd();
        if !takes_plain && !self.is_condition_next() {
            return batch;
        }
        let (mut events, mut bytes) = (0, 0);
        let mut from = 0;
        let mut is_of_conditions = None;
        while let Some((&turn, next)) = self.ready.range(from..).next() {
            from = turn + 1;
            let (more_events, more_bytes) = (next.append.event_count(), weight_bytes(&next.append));
            let is_conditional = next.append.condition().is_some();
            let is_first = batch.is_empty();
            if next.reply.is_closed() {
                // Its caller is gone and nothing was written: whoever waits behind it moves up.
                self.leave_out(turn);
                continue;
            }
            let may_go = if is_conditional { !self.has_conditions_in_flight } else { takes_plain };
            if !may_go || *is_of_conditions.get_or_insert(is_conditional) != is_conditional {
                continue;
            }
            if is_conditional && batch.len() == CONDITIONAL_APPENDS {
                break;
            }
            let fits = events + more_events <= limits.batch_events
                && bytes + more_bytes <= limits.batch_bytes;
            if !is_first && !fits {
                break;
            }
            events += more_events;
            bytes += more_bytes;
            batch.extend(self.take_ready(turn));
        }
        match is_of_conditions {
            Some(true) => self.has_conditions_in_flight = true,
            _ => self.plain_in_flight += batch.len(),
        }
        batch
    }

    /// Gives the streams of a batch that ended to those who wait behind it.
    pub(super) fn release_batch(&mut self, batch: &[Append]) {
        if batch.iter().any(|append| append.condition().is_some()) {
            self.has_conditions_in_flight = false;
        } else {
            self.plain_in_flight -= batch.len();
        }
        for append in batch {
            self.release(append);
        }
    }

    fn release(&mut self, append: &Append) {
        for part in append.streams() {
            let Entry::Occupied(mut held) = self.streams.entry(part.stream.clone()) else {
                continue;
            };
            match held.get_mut().pop_front() {
                Some(heir) => self.unblock(heir),
                None => {
                    held.remove();
                }
            }
        }
    }

    fn unblock(&mut self, turn: Turn) {
        let Entry::Occupied(mut blocked) = self.blocked.entry(turn) else {
            return;
        };
        let (_, waits_for) = blocked.get_mut();
        *waits_for -= 1;
        if *waits_for == 0 {
            let (waiting, _) = blocked.remove();
            self.make_ready(turn, waiting);
        }
    }

    fn leave_out(&mut self, turn: Turn) {
        if let Some(waiting) = self.take_ready(turn) {
            self.release(&waiting.append);
        }
    }

    fn make_ready(&mut self, turn: Turn, waiting: Waiting) {
        self.ready_conditional += usize::from(waiting.append.condition().is_some());
        self.ready.insert(turn, waiting);
    }

    fn take_ready(&mut self, turn: Turn) -> Option<Waiting> {
        let waiting = self.ready.remove(&turn)?;
        self.ready_conditional -= usize::from(waiting.append.condition().is_some());
        Some(waiting)
    }
}
