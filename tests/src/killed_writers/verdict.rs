//! What the processes said, held against the log that they left.

use std::collections::{HashMap, HashSet};

use highwater::{Appended, EventId, EventStore, RecordedEvent, Selection, StreamHead};

use super::protocol::{Acknowledgement, Intent, Said};
use super::tally;
use crate::conformance::log::given::everything;
use crate::conformance::log::oracle::{
    Attempt, Tail, Violation, check_answers, check_attempts, check_conditions, check_refused,
    check_versions,
};

/// Everything that the writing processes said, over all of their lives.
#[derive(Debug, Default)]
pub struct Ledger {
    meant: HashMap<EventId, Intent>,
    acknowledged: HashMap<EventId, Acknowledgement>,
    refused: HashSet<EventId>,
    failures: Vec<String>,
}

impl Ledger {
    /// Takes note of what one life said.
    pub fn enter(&mut self, said: impl IntoIterator<Item = Said>) {
        for said in said {
            match said {
                Said::Meant(intent) => {
                    self.meant.insert(intent.attempt(), intent);
                }
                // An attempt that is made twice may be told of twice; the first answer counts.
                Said::Acknowledged(answer) => {
                    self.acknowledged.entry(answer.attempt).or_insert(answer);
                }
                Said::Refused(attempt) => {
                    self.refused.insert(attempt);
                }
                Said::Failed(reason) => self.failures.push(reason),
                Said::Read { .. } => {}
            }
        }
    }

    /// What nobody knows the outcome of.
    #[must_use]
    pub fn open(&self) -> Vec<Intent> {
        let settled =
            |attempt| self.acknowledged.contains_key(attempt) || self.refused.contains(attempt);
        let open = self.meant.iter().filter(|(attempt, _)| !settled(attempt));
        open.map(|(_, intent)| intent.clone()).collect()
    }

    /// How many attempts were acknowledged, and how many of them were conditional and commands.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |is: fn(&Intent) -> bool| {
            let attempts = self.acknowledged.keys().filter_map(|attempt| self.meant.get(attempt));
            attempts.filter(|intent| is(intent)).count()
        };
        Counts {
            single: of(
                |it| matches!(it, Intent::Append { parts, known: None } if parts.len() == 1),
            ),
            multi: of(|it| matches!(it, Intent::Append { parts, .. } if parts.len() > 1)),
            conditional: of(|it| matches!(it, Intent::Append { known: Some(_), .. })),
            commands: of(|it| matches!(it, Intent::Command { .. })),
            refused: self.refused.len(),
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        let attempt = |(attempt, intent): (&EventId, &Intent)| Attempt {
            ids: intent.ids(),
            decision: match intent {
                Intent::Append { known: Some(known), .. } => Some(known.decision()),
                _ => None,
            },
            acknowledged: self.acknowledged.get(attempt).map(appended),
        };
        self.meant.iter().map(attempt).collect()
    }
}

/// How many attempts of each kind took effect, so that a test can tell that it was one.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Appends to one stream.
    pub single: usize,
    /// Appends to several.
    pub multi: usize,
    /// Appends with a condition.
    pub conditional: usize,
    /// Commands.
    pub commands: usize,
    /// Conditions that didn't hold.
    pub refused: usize,
}

fn appended(answer: &Acknowledgement) -> Appended {
    let heads = answer.heads.iter().cloned();
    let heads = heads.map(|(stream, version)| StreamHead { stream, version }).collect();
    // Not what is judged.
    let recorded_at = jiff::Timestamp::UNIX_EPOCH;
    Appended { position: answer.position, recorded_at, heads, was_repeated: false }
}

/// Holds what was said by writers and by the reader against the log; the whole oracle.
///
/// # Errors
/// The first [`Violation`] found.
pub async fn check(
    store: &dyn EventStore,
    writers: &Ledger,
    reader: &[Said],
) -> Result<Vec<RecordedEvent>, Violation> {
    if let Some(reason) = writers.failures.first() {
        return Err(Violation::Failed { action: "writing", reason: reason.clone() });
    }
    let log = everything(store, &Selection::All).await;
    let attempts = writers.attempts();
    check_attempts(&log, &attempts)?;
    check_refused(&log, writers.refused.iter().copied())?;
    check_versions(&log)?;
    check_answers(&log, &attempts)?;
    check_conditions(&log, &attempts)?;
    tally::check(&log).map_err(|reason| Violation::Failed { action: "counting", reason })?;
    check_reader(&log, reader)?;
    Ok(log)
}

fn check_reader(log: &[RecordedEvent], reader: &[Said]) -> Result<(), Violation> {
    let mut tail = Tail::new("in a process of its own", Selection::All);
    let ids: HashMap<_, _> = log.iter().map(|event| (event.position, event.id)).collect();
    for said in reader {
        match said {
            Said::Read { events, read_to } => {
                tail.take_positions(events.iter().map(|(position, _)| *position), *read_to)?;
                let other = events.iter().find(|(position, id)| ids.get(position) != Some(id));
                if let Some((position, _)) = other {
                    return Err(tail.vanished(*position));
                }
            }
            other => {
                let reason = format!("{other:?}");
                return Err(Violation::Failed { action: "reading along", reason });
            }
        }
    }
    let end = log.last().map_or(tail.read_to, |event| event.position);
    if tail.read_to < end {
        let reason = format!("it stopped at {} of {end}", tail.read_to);
        return Err(Violation::Failed { action: "reading along", reason });
    }
    tail.check(log)
}
