//! One lane per partition: records wait in order while one of them is handled.
//!
//! Pure bookkeeping, no I/O: the consumer asks what to do next and does it.
//!
//! # Invariants
//! 1. At most one record of a lane is being handled, and records are handled in the order in which
//!    they arrived, so in each key's order.
//! 2. A lane's offset moves over a record only when that record was handled.
//! 3. A lane that ends takes its waiting records with it, unhandled and uncommitted; whoever has
//!    the partition next gets them. A late end of its last record is recognised by the lane's
//!    number and moves nothing.
//! 4. A lane holds at most `CAPACITY` records and what arrives while it is being paused.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use tokio_util::sync::CancellationToken;

use crate::wire::Record;

/// How many records may wait in a lane before its partition is paused.
const CAPACITY: usize = 256;
/// How few must be left before it goes on.
const REFILL_AT: usize = 32;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Partition {
    pub(crate) topic: String,
    pub(crate) number: i32,
}

impl Partition {
    pub(crate) fn new(topic: &str, number: i32) -> Self {
        Self { topic: topic.to_owned(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

/// A record that is to be handled now.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) lane: u64,
    pub(crate) partition: Partition,
    pub(crate) record: Record,
    /// Cancelled when the lane ends: don't begin anything more.
    pub(crate) stop: CancellationToken,
}

/// What is to be done about a lane.
#[derive(Debug, Default)]
pub(crate) struct Next {
    pub(crate) job: Option<Job>,
    /// `Some(true)`: fetch the partition again; `Some(false)`: stop fetching it.
    pub(crate) fetch: Option<bool>,
}

struct Lane {
    number: u64,
    waiting: VecDeque<Record>,
    is_busy: bool,
    is_paused: bool,
    /// The offset behind the last record that was handled.
    handled: Option<i64>,
    committed: Option<i64>,
    stop: CancellationToken,
}

/// The lanes of all partitions that this member has.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: HashMap<Partition, Lane>,
    opened: u64,
}

impl Lanes {
    /// Takes a record that arrived.
    pub(crate) fn arrive(&mut self, record: Record) -> Next {
        let partition = Partition::new(&record.topic, record.partition);
        let opened = &mut self.opened;
        let lane = self.lanes.entry(partition.clone()).or_insert_with(|| {
            *opened += 1;
            Lane::open(*opened)
        });
        if lane.stop.is_cancelled() {
            // The partition is about to be given back: invariant 3.
            return Next::default();
        }
        lane.waiting.push_back(record);
        let is_full = lane.waiting.len() >= CAPACITY && !lane.is_paused;
        lane.is_paused |= is_full;
        Next { job: lane.next_job(&partition), fetch: is_full.then_some(false) }
    }

    /// Moves a lane over the record that ended at `offset`, if that was handled.
    pub(crate) fn ended(
        &mut self,
        partition: &Partition,
        number: u64,
        handled: Option<i64>,
    ) -> Next {
        let Some(lane) = self.lanes.get_mut(partition).filter(|lane| lane.number == number) else {
            return Next::default();
        };
        lane.is_busy = false;
        if let Some(offset) = handled {
            lane.handled = Some(offset + 1);
        }
        if lane.stop.is_cancelled() {
            return Next::default();
        }
        let is_refilled = lane.is_paused && lane.waiting.len() <= REFILL_AT;
        lane.is_paused &= !is_refilled;
        Next { job: lane.next_job(partition), fetch: is_refilled.then_some(true) }
    }

    /// Ends lanes: nothing more is begun on them.
    pub(crate) fn stop(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(lane) = self.lanes.get_mut(partition) {
                lane.stop.cancel();
                lane.waiting.clear();
            }
        }
    }

    /// Ends every lane.
    pub(crate) fn stop_all(&mut self) {
        let all: Vec<_> = self.lanes.keys().cloned().collect();
        self.stop(&all);
    }

    /// True if nothing is being handled on these partitions.
    pub(crate) fn are_idle(&self, partitions: &[Partition]) -> bool {
        let busy = |partition| self.lanes.get(partition).is_some_and(|lane| lane.is_busy);
        !partitions.iter().any(busy)
    }

    /// Forgets lanes that have ended; their offsets that nobody committed yet.
    pub(crate) fn remove(&mut self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let offsets = |partition: &Partition| {
            let lane = self.lanes.remove(partition)?;
            Some((partition.clone(), lane.uncommitted()?))
        };
        partitions.iter().filter_map(offsets).collect()
    }

    /// The offsets that moved since they were last asked for.
    pub(crate) fn take_uncommitted(&mut self) -> Vec<(Partition, i64)> {
        let mut moved = Vec::new();
        for (partition, lane) in &mut self.lanes {
            if let Some(offset) = lane.uncommitted() {
                lane.committed = Some(offset);
                moved.push((partition.clone(), offset));
            }
        }
        moved
    }

    /// How far every lane was handled, committed before or not: for the last commit.
    pub(crate) fn handled(&self) -> Vec<(Partition, i64)> {
        let handled =
            |(partition, lane): (&Partition, &Lane)| Some((partition.clone(), lane.handled?));
        self.lanes.iter().filter_map(handled).collect()
    }
}

impl Lane {
    fn open(number: u64) -> Self {
        Self {
            number,
            waiting: VecDeque::new(),
            is_busy: false,
            is_paused: false,
            handled: None,
            committed: None,
            stop: CancellationToken::new(),
        }
    }

    fn next_job(&mut self, partition: &Partition) -> Option<Job> {
        if self.is_busy {
            return None;
        }
        let record = self.waiting.pop_front()?;
        self.is_busy = true;
        Some(Job {
            lane: self.number,
            partition: partition.clone(),
            record,
            stop: self.stop.clone(),
        })
    }

    fn uncommitted(&self) -> Option<i64> {
        self.handled.filter(|_| self.handled != self.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(partition: i32, offset: i64) -> Record {
        Record {
            topic: "t".to_owned(),
            partition,
            offset,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    #[test]
    fn one_record_of_a_lane_at_a_time_in_order_of_arrival() {
        let mut lanes = Lanes::default();
        let first = lanes.arrive(record(0, 5)).job.expect("an idle lane starts");
        assert!(lanes.arrive(record(0, 6)).job.is_none(), "the lane is busy");
        assert!(lanes.arrive(record(1, 9)).job.is_some(), "another lane isn't");
        let next = lanes.ended(&first.partition, first.lane, Some(5)).job.expect("the next one");
        assert_eq!(next.record.offset, 6);
    }

    #[test]
    fn an_offset_moves_only_over_what_was_handled_and_is_told_once() {
        let mut lanes = Lanes::default();
        let job = lanes.arrive(record(0, 5)).job.expect("started");
        assert!(lanes.take_uncommitted().is_empty());
        lanes.ended(&job.partition, job.lane, Some(5));
        assert_eq!(lanes.take_uncommitted(), vec![(Partition::new("t", 0), 6)]);
        assert!(lanes.take_uncommitted().is_empty());
        let job = lanes.arrive(record(0, 6)).job.expect("started");
        lanes.ended(&job.partition, job.lane, None);
        assert_eq!(lanes.handled(), vec![(Partition::new("t", 0), 6)]);
    }

    #[test]
    fn a_full_lane_pauses_its_partition_and_resumes_it_when_nearly_empty() {
        let mut lanes = Lanes::default();
        let mut job = lanes.arrive(record(0, 0)).job;
        let mut told = Vec::new();
        for offset in 1..=CAPACITY as i64 {
            told.extend(lanes.arrive(record(0, offset)).fetch);
        }
        while let Some(running) = job.take() {
            let offset = running.record.offset;
            let next = lanes.ended(&running.partition, running.lane, Some(offset));
            told.extend(next.fetch);
            job = next.job;
        }
        assert_eq!(told, vec![false, true]);
    }

    #[test]
    fn a_lane_that_ended_begins_nothing_and_a_late_end_moves_nothing() {
        let mut lanes = Lanes::default();
        let job = lanes.arrive(record(0, 5)).job.expect("started");
        lanes.arrive(record(0, 6));
        let revoked = [job.partition.clone()];
        lanes.stop(&revoked);
        assert!(job.stop.is_cancelled() && !lanes.are_idle(&revoked));
        assert!(lanes.arrive(record(0, 7)).job.is_none());
        assert!(lanes.remove(&revoked).is_empty());
        // The partition comes back, and the old lane's record ends.
        let again = lanes.arrive(record(0, 5)).job.expect("a new lane");
        assert!(lanes.ended(&job.partition, job.lane, Some(5)).job.is_none());
        assert!(lanes.take_uncommitted().is_empty());
        lanes.ended(&again.partition, again.lane, Some(5));
        assert_eq!(lanes.take_uncommitted().len(), 1);
    }
}
