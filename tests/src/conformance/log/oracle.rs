//! What must be true of a log once everybody has finished, and of what readers saw on the way.
//!
//! The checks return a [`Violation`] rather than panic, so that a test can show that a store
//! without the mechanism is caught by them.

use std::collections::{BTreeMap, HashMap, HashSet};

use highwater::{
    AppendCondition, Appended, EventId, GlobalPosition, RecordedEvent, Selection, StreamId,
};

/// A promise of the log that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// An event appeared at or below a position that a reader had already gone past.
    #[error("reader {reader} went past position {position} and never saw the event there")]
    Missed {
        /// Which reader.
        reader: String,
        /// Where the event is.
        position: GlobalPosition,
    },
    /// A reader saw an event that isn't in the log.
    #[error("reader {reader} saw an event at position {position} that is not in the log")]
    Vanished {
        /// Which reader.
        reader: String,
        /// Where it was seen.
        position: GlobalPosition,
    },
    /// A reader was shown events out of order, twice, or was moved back.
    #[error("reader {reader} was at {before} and was then given {position}")]
    OutOfOrder {
        /// Which reader.
        reader: String,
        /// Where it stood.
        before: GlobalPosition,
        /// What it was given.
        position: GlobalPosition,
    },
    /// An acknowledged event isn't in the log exactly once.
    #[error("acknowledged event {id} is in the log {times} times")]
    Lost {
        /// The event.
        id: EventId,
        /// How often it is there.
        times: usize,
    },
    /// An append that its caller was told is refused is in the log.
    #[error("event {id} of a refused append is in the log")]
    Unwanted {
        /// The event.
        id: EventId,
    },
    /// The answer to an append isn't what the log holds.
    #[error("the append of event {id} was told {told}, and the log holds {held}")]
    Misled {
        /// The first event of the append.
        id: EventId,
        /// What its caller was told.
        told: String,
        /// What is true.
        held: String,
    },
    /// An append is in the log in part.
    #[error("{present} of the {whole} events of one append are in the log")]
    Torn {
        /// How many of its events are there.
        present: usize,
        /// How many it has.
        whole: usize,
    },
    /// The versions of a stream aren't 1, 2, 3 … in order of position.
    #[error("stream {stream} goes on with version {version} where {expected} is due")]
    VersionGap {
        /// The stream.
        stream: StreamId,
        /// The version that is due.
        expected: u64,
        /// The version that is there.
        version: u64,
    },
    /// A conditional append succeeded past an event that its decision didn't know.
    #[error("an append decided at {after} passed a match at position {position}")]
    ConditionPassed {
        /// How far the decision had read.
        after: GlobalPosition,
        /// Where the event is that it didn't know.
        position: GlobalPosition,
    },
    /// An append or a read ended in an error that nothing here gave cause for.
    #[error("{action} failed: {reason}")]
    Failed {
        /// What was being done.
        action: &'static str,
        /// What the store said.
        reason: String,
    },
}

/// An append that a caller made, and what it knows of its outcome.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The ids of its events.
    pub ids: Vec<EventId>,
    /// The decision it came from, if it was conditional.
    pub decision: Option<Decision>,
    /// The acknowledgement, or none if the caller walked away: then it is whole or absent.
    pub acknowledged: Option<Appended>,
}

/// A decision, and what it was based on.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The condition that the append was made with.
    pub condition: AppendCondition,
    /// The positions of the matches that had been read. An event at or before the condition's
    /// position that isn't among them came too late for the reader, and too early for the store.
    pub seen: Vec<GlobalPosition>,
}

/// What one reader saw while others appended.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Which reader.
    pub reader: String,
    /// What it wanted.
    pub selection: Selection,
    /// The positions of the events it was given.
    pub seen: Vec<GlobalPosition>,
    /// How far it was told that it had read.
    pub read_to: GlobalPosition,
}

impl Tail {
    /// A reader that stands before the first event.
    #[must_use]
    pub fn new(reader: impl Into<String>, selection: Selection) -> Self {
        let reader = reader.into();
        Self { reader, selection, seen: Vec::new(), read_to: GlobalPosition::START }
    }

    /// Takes note of a page.
    ///
    /// # Errors
    /// [`Violation::OutOfOrder`] if the page isn't behind what was read, or not in order.
    pub fn take(&mut self, page: &highwater::Page) -> Result<(), Violation> {
        self.take_positions(page.events.iter().map(|event| event.position), page.read_to)
    }

    /// As [`Tail::take`], for a page of which only the positions are known.
    ///
    /// # Errors
    /// As [`Tail::take`].
    pub fn take_positions(
        &mut self,
        positions: impl IntoIterator<Item = GlobalPosition>,
        read_to: GlobalPosition,
    ) -> Result<(), Violation> {
        let mut before = self.read_to;
        for position in positions {
            if position <= before {
                return Err(self.out_of_order(before, position));
            }
            before = position;
            self.seen.push(position);
        }
        if read_to < before {
            return Err(self.out_of_order(before, read_to));
        }
        self.read_to = read_to;
        Ok(())
    }

    fn out_of_order(&self, before: GlobalPosition, position: GlobalPosition) -> Violation {
        Violation::OutOfOrder { reader: self.reader.clone(), before, position }
    }

    /// Compares what was seen with the log as it is now: up to where the reader had got, they must
    /// be the same.
    ///
    /// # Errors
    /// [`Violation::Missed`] or [`Violation::Vanished`].
    pub fn check(&self, log: &[RecordedEvent]) -> Result<(), Violation> {
        let mut seen = self.seen.iter().copied().peekable();
        let passed = log.iter().filter(|event| event.position <= self.read_to);
        for event in passed.filter(|event| self.selection.matches(event)) {
            match seen.next_if(|position| *position <= event.position) {
                Some(position) if position == event.position => {}
                Some(position) => return Err(self.vanished(position)),
                None => {
                    let reader = self.reader.clone();
                    return Err(Violation::Missed { reader, position: event.position });
                }
            }
        }
        seen.next().map_or(Ok(()), |position| Err(self.vanished(position)))
    }

    /// This reader saw an event that the log doesn't hold there.
    #[must_use]
    pub fn vanished(&self, position: GlobalPosition) -> Violation {
        Violation::Vanished { reader: self.reader.clone(), position }
    }
}

/// Checks the versions of every stream.
///
/// # Errors
/// [`Violation::VersionGap`].
pub fn check_versions(log: &[RecordedEvent]) -> Result<(), Violation> {
    let mut heads: BTreeMap<&StreamId, u64> = BTreeMap::new();
    for event in log {
        let head = heads.entry(&event.stream).or_default();
        *head += 1;
        if event.version.get() != *head {
            return Err(Violation::VersionGap {
                stream: event.stream.clone(),
                expected: *head,
                version: event.version.get(),
            });
        }
    }
    Ok(())
}

/// Checks that what was acknowledged is there once, and what was not is whole or absent.
///
/// # Errors
/// [`Violation::Lost`] or [`Violation::Torn`].
pub fn check_attempts(log: &[RecordedEvent], attempts: &[Attempt]) -> Result<(), Violation> {
    let mut times: HashMap<EventId, usize> = HashMap::new();
    for event in log {
        *times.entry(event.id).or_default() += 1;
    }
    let times = |id: &EventId| times.get(id).copied().unwrap_or(0);
    for attempt in attempts {
        let wrong = attempt.ids.iter().find(|id| times(id) != 1);
        if let (Some(id), Some(_)) = (wrong, &attempt.acknowledged) {
            return Err(Violation::Lost { id: *id, times: times(id) });
        }
        let (whole, present) = (attempt.ids.len(), attempt.ids.iter().map(times).sum());
        if present != 0 && present != whole {
            return Err(Violation::Torn { present, whole });
        }
    }
    Ok(())
}

/// Checks that nothing is there of appends that were refused for good.
///
/// # Errors
/// [`Violation::Unwanted`].
pub fn check_refused(
    log: &[RecordedEvent],
    refused: impl IntoIterator<Item = EventId>,
) -> Result<(), Violation> {
    let present: HashSet<EventId> = log.iter().map(|event| event.id).collect();
    match refused.into_iter().find(|id| present.contains(id)) {
        Some(id) => Err(Violation::Unwanted { id }),
        None => Ok(()),
    }
}

/// Checks that every acknowledged append was told where it stands: each head is the version of the
/// append's last event in that stream, whose events follow one another in the append's order. Its
/// position is that of its last event, or further on: commands that share an append are told of
/// its end.
///
/// # Errors
/// [`Violation::Misled`].
pub fn check_answers(log: &[RecordedEvent], attempts: &[Attempt]) -> Result<(), Violation> {
    let recorded: HashMap<EventId, &RecordedEvent> =
        log.iter().map(|event| (event.id, event)).collect();
    for attempt in attempts {
        let Some(answer) = &attempt.acknowledged else {
            continue;
        };
        let mut last = GlobalPosition::START;
        let mut heads: BTreeMap<&StreamId, u64> = BTreeMap::new();
        for id in &attempt.ids {
            let Some(event) = recorded.get(id) else {
                return Err(Violation::Lost { id: *id, times: 0 });
            };
            let due = heads.get(&event.stream).map(|head| head + 1);
            if event.position <= last || due.is_some_and(|due| due != event.version.get()) {
                let told = "that its events follow one another".to_owned();
                let held = format!("version {} at {}", event.version, event.position);
                return Err(Violation::Misled { id: *id, told, held });
            }
            last = event.position;
            heads.insert(&event.stream, event.version.get());
        }
        let is_told =
            answer.heads.iter().all(|head| heads.get(&head.stream) == Some(&head.version.get()));
        if answer.position < last || answer.heads.len() != heads.len() || !is_told {
            let held = format!("{heads:?}, the last at {last}");
            let told = format!("{:?} at {}", answer.heads, answer.position);
            return Err(Violation::Misled { id: attempt.ids[0], told, held });
        }
    }
    Ok(())
}

/// Checks that before each conditional append stand the matches that its decision had read, and no
/// other, wherever the store thinks that the decision had got.
///
/// # Errors
/// [`Violation::ConditionPassed`].
pub fn check_conditions(log: &[RecordedEvent], attempts: &[Attempt]) -> Result<(), Violation> {
    let places: HashMap<EventId, usize> =
        log.iter().enumerate().map(|(place, event)| (event.id, place)).collect();
    // Many decisions ask the same: the log is gone through once for each question.
    let mut answers: HashMap<String, Vec<usize>> = HashMap::new();
    for attempt in attempts {
        let own = attempt.ids.iter().filter_map(|id| places.get(id)).min();
        let (Some(Decision { condition, seen }), Some(&own)) = (&attempt.decision, own) else {
            continue;
        };
        let query = &condition.query;
        let matches = answers.entry(format!("{query:?}")).or_insert_with(|| {
            let is_match = |event: &RecordedEvent| query.matches(&event.event_type, &event.tags);
            (0..log.len()).filter(|place| is_match(&log[*place])).collect()
        });
        let before = matches.iter().take_while(|place| **place < own);
        let unknown = before.map(|place| log[*place].position).find(|at| !seen.contains(at));
        if let Some(position) = unknown {
            return Err(Violation::ConditionPassed { after: condition.after, position });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use highwater::{
        Append, EventStore, ExpectedVersion, MemoryStore, Page, StreamHead, StreamVersion,
    };

    use super::super::given::{
        appended, everything, position, query_tagged, stream, tagged, to_any,
    };
    use super::*;

    async fn log_of(count: usize) -> Vec<RecordedEvent> {
        let store = MemoryStore::new();
        for _ in 0..count {
            appended(&store, to_any(&stream("a"), vec![tagged("x", &["k:1"])])).await;
        }
        everything(&store, &Selection::All).await
    }

    fn page(events: &[RecordedEvent], read_to: u64) -> Page {
        Page { events: events.to_vec(), read_to: position(read_to), is_last: false }
    }

    #[tokio::test]
    async fn an_event_that_appears_behind_a_reader_is_reported() {
        let log = log_of(3).await;
        let mut tail = Tail::new("tail", Selection::All);
        tail.take(&page(&log[..1], 1)).unwrap();
        tail.take(&page(&log[2..], 3)).unwrap();
        let missed = Violation::Missed { reader: "tail".to_owned(), position: position(2) };
        assert_eq!(tail.check(&log), Err(missed));
    }

    #[tokio::test]
    async fn an_event_that_is_gone_or_comes_twice_is_reported() {
        let log = log_of(3).await;
        let mut tail = Tail::new("tail", Selection::All);
        tail.take(&page(&log, 3)).unwrap();
        assert_eq!(tail.check(&log), Ok(()));
        assert!(matches!(tail.check(&log[..2]), Err(Violation::Vanished { .. })));
        assert!(matches!(tail.check(&log[1..]), Err(Violation::Vanished { .. })));
        let again = tail.take(&page(&log[2..], 3));
        assert!(matches!(again, Err(Violation::OutOfOrder { .. })));
    }

    #[tokio::test]
    async fn lost_doubled_and_torn_appends_are_reported() {
        let log = log_of(3).await;
        let ids = vec![log[0].id, log[2].id];
        let (position_3, recorded_at) = (position(3), log[2].recorded_at);
        let acknowledged =
            Appended { position: position_3, recorded_at, heads: vec![], was_repeated: false };
        let known = Attempt { ids: ids.clone(), decision: None, acknowledged: Some(acknowledged) };
        let unknown = Attempt { ids, decision: None, acknowledged: None };
        assert_eq!(check_attempts(&log, std::slice::from_ref(&known)), Ok(()));
        let lost = check_attempts(&log[..2], std::slice::from_ref(&known));
        assert!(matches!(lost, Err(Violation::Lost { times: 0, .. })));
        let doubled = [log.clone(), log.clone()].concat();
        let doubled = check_attempts(&doubled, &[known]);
        assert!(matches!(doubled, Err(Violation::Lost { times: 2, .. })));
        let torn = check_attempts(&log[..2], &[unknown]);
        assert_eq!(torn, Err(Violation::Torn { present: 1, whole: 2 }));
        assert!(matches!(check_versions(&log[1..]), Err(Violation::VersionGap { .. })));
    }

    #[tokio::test]
    async fn a_condition_that_passed_a_match_is_reported() {
        let log = log_of(3).await;
        let decided = |after, seen: &[u64]| Attempt {
            ids: vec![log[2].id],
            decision: Some(Decision {
                condition: AppendCondition::new(query_tagged(&["k:1"]), position(after)),
                seen: seen.iter().map(|number| position(*number)).collect(),
            }),
            acknowledged: None,
        };
        assert_eq!(check_conditions(&log, &[decided(2, &[1, 2])]), Ok(()));
        let passed = check_conditions(&log, &[decided(1, &[1])]);
        let expected = Violation::ConditionPassed { after: position(1), position: position(2) };
        assert_eq!(passed, Err(expected));
        let never_seen = check_conditions(&log, &[decided(2, &[2])]);
        let expected = Violation::ConditionPassed { after: position(2), position: position(1) };
        assert_eq!(never_seen, Err(expected));
    }

    #[tokio::test]
    async fn a_refused_append_that_is_there_and_an_answer_that_misleads_are_reported() {
        let log = log_of(3).await;
        assert_eq!(check_refused(&log, [EventId::new()]), Ok(()));
        let unwanted = Err(Violation::Unwanted { id: log[1].id });
        assert_eq!(check_refused(&log, [log[1].id]), unwanted);
        let told = |at, version| Attempt {
            ids: vec![log[1].id, log[2].id],
            decision: None,
            acknowledged: Some(Appended {
                position: position(at),
                recorded_at: log[2].recorded_at,
                heads: vec![StreamHead {
                    stream: stream("a"),
                    version: StreamVersion::new(version),
                }],
                was_repeated: false,
            }),
        };
        assert_eq!(check_answers(&log, &[told(3, 3)]), Ok(()));
        for wrong in [told(2, 3), told(3, 2)] {
            let found = check_answers(&log, &[wrong]);
            assert!(matches!(found, Err(Violation::Misled { .. })), "{found:?}");
        }
        let mut reversed = told(3, 3);
        reversed.ids.reverse();
        assert!(matches!(check_answers(&log, &[reversed]), Err(Violation::Misled { .. })));
    }

    #[tokio::test]
    async fn a_store_that_keeps_its_promises_passes() {
        let store = MemoryStore::new();
        let append = Append::to(stream("a"), ExpectedVersion::NoStream, vec![tagged("x", &[])]);
        let ids = append.events().map(|event| event.id).collect();
        let acknowledged = Some(store.append(append).await.unwrap());
        let log = everything(&store, &Selection::All).await;
        check_versions(&log).unwrap();
        check_attempts(&log, &[Attempt { ids, decision: None, acknowledged }]).unwrap();
    }
}
