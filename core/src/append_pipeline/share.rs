//! How much of what is appended to the log comes from this process. Pure data, no I/O.
//!
//! Every append draws positions from the one sequence of the log. So what lies between the positions of
//! this process's batches tells what others append at the same time, and nobody need be asked.

use crate::{Append, AppendError, Appended, GlobalPosition};

/// How many of the latest positions are looked at, about.
const WINDOW: u64 = 1_000;

/// The share of this process in the latest positions.
#[derive(Default)]
pub(super) struct Share {
    highest: Option<GlobalPosition>,
    own: u64,
    all: u64,
}

impl Share {
    /// Learns from a batch that was answered.
    pub(super) fn note(&mut self, batch: &[Append], outcomes: &[Result<Appended, AppendError>]) {
        let new = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
        let new = new.filter(|appended| !appended.was_repeated);
        let Some(reached) = new.map(|appended| appended.position).max() else {
            return;
        };
        if let Some(highest) = self.highest {
            // Positions are drawn for a whole batch: also for those of it that are refused then.
            self.own += batch.iter().map(|append| append.event_count() as u64).sum::<u64>();
            self.all += reached.get().saturating_sub(highest.get());
        }
        self.highest = self.highest.max(Some(reached));
        while self.all > WINDOW {
            (self.own, self.all) = (self.own / 2, self.all / 2);
        }
    }

    /// True if others append more than this process: three of five positions at least aren't its own.
    pub(super) fn is_smaller_part(&self) -> bool {
        self.own * 5 < self.all * 2
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{ExpectedVersion, NewEvent, StreamId};

    fn batch_of(events: usize) -> Vec<Append> {
        let append = |_| {
            let event = NewEvent::new("tested", &1).expect("a number is JSON");
            let stream = StreamId::new("test", "1").expect("a valid key");
            Append::to(stream, ExpectedVersion::Any, vec![event])
        };
        (0..events).map(append).collect()
    }

    fn appended(position: u64) -> Appended {
        let (position, recorded_at) = (GlobalPosition::new(position), Timestamp::UNIX_EPOCH);
        Appended { position, recorded_at, heads: Vec::new(), was_repeated: false }
    }

    /// A batch of `events` appends, the last of which came to stand at `position`.
    fn note(share: &mut Share, events: usize, position: u64) {
        let batch = batch_of(events);
        let first = position + 1 - events as u64;
        let outcomes: Vec<_> = (first..=position).map(|position| Ok(appended(position))).collect();
        share.note(&batch, &outcomes);
    }

    #[test]
    fn who_appends_alone_or_with_one_like_it_has_no_smaller_part() {
        for others in [0, 10] {
            let mut share = Share::default();
            let mut position = 5_000;
            for _ in 0..500 {
                position += 10 + others;
                note(&mut share, 10, position);
                assert!(!share.is_smaller_part());
            }
        }
    }

    #[test]
    fn who_appends_among_three_learns_it_and_forgets_it_once_they_are_gone() {
        let mut share = Share::default();
        let mut position = 5_000;
        for _ in 0..10 {
            position += 30;
            note(&mut share, 10, position);
        }
        assert!(share.is_smaller_part());
        // However much others appended while this process was silent.
        position += 1_000_000;
        for _ in 0..100 {
            position += 10;
            note(&mut share, 10, position);
        }
        assert!(!share.is_smaller_part());
    }

    #[test]
    fn who_appends_alone_and_is_mostly_refused_has_no_smaller_part() {
        let mut share = Share::default();
        for round in 1..100 {
            let batch = batch_of(100);
            let refused = (0..99).map(|_| Err(AppendError::ConditionFailed));
            let outcomes: Vec<_> = refused.chain([Ok(appended(round * 100))]).collect();
            share.note(&batch, &outcomes);
            assert!(!share.is_smaller_part());
        }
    }

    #[test]
    fn what_failed_or_was_there_before_tells_nothing() {
        let mut share = Share::default();
        note(&mut share, 1, 10);
        share.note(&[], &[Err(AppendError::Closed)]);
        let repeated = Appended { was_repeated: true, ..appended(1_000) };
        share.note(&batch_of(1), &[Ok(repeated)]);
        note(&mut share, 1, 11);
        assert!(!share.is_smaller_part());
    }
}
