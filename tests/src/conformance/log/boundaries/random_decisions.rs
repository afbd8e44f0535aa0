//! The oracle of consistency boundaries: many writers with random queries, and every append says in
//! its own data what it relied on. Afterwards each is derived again from the log alone.
//!
//! What an append says: its query, how far it had read, and how many matches it had seen there. It
//! holds if the log has exactly that many matches up to there, and none between there and the
//! append itself. The first catches an event that appears too late for a reader, the second a
//! condition that let something pass.

use std::sync::Arc;

use futures::future::try_join_all;
use highwater::{
    Append, AppendCondition, AppendError, EventStore, ExpectedVersion, GlobalPosition, NewEvent,
    Query, QueryItem, RecordedEvent, Selection, StreamId,
};
use serde::{Deserialize, Serialize};

use super::super::LogFactory;
use super::super::given::{everything, stream, tag};
use super::super::oracle::{Violation, check_versions};

const TYPES: [&str; 4] = ["red", "green", "blue", "grey"];
const TAGS: [&str; 5] = ["k:1", "k:2", "k:3", "j:1", "j:2"];

/// How much is decided.
#[derive(Clone, Copy, Debug)]
pub struct DecisionPlan {
    /// How many writers decide at the same moment.
    pub writers: usize,
    /// How many decisions each of them makes; every fifth appends without relying on anything.
    pub decisions_each: usize,
    /// What the random choices are drawn from.
    pub seed: u64,
}

/// What came of the decisions, so that a test can tell that they were in each other's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionReport {
    /// Decisions that the log took.
    pub taken: usize,
    /// Decisions that came too late.
    pub overtaken: usize,
    /// Decisions in the log whose claim was derived again.
    pub checked: usize,
}

/// What an append relied on, as it stands in the data of its first event.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claim {
    /// Types and tags of each item.
    query: Vec<(Vec<String>, Vec<String>)>,
    after: GlobalPosition,
    seen: usize,
}

impl Claim {
    fn of(query: &Query, after: GlobalPosition, seen: usize) -> Self {
        let item = |item: &QueryItem| {
            let types = item.event_types().iter().map(|name| name.as_str().to_owned()).collect();
            (types, item.tags().iter().map(|tag| tag.as_str().to_owned()).collect())
        };
        Self { query: query.items().iter().map(item).collect(), after, seen }
    }

    fn query(&self) -> Query {
        self.query.iter().fold(Query::default(), |query, (types, tags)| {
            let item = QueryItem::types(types.iter().map(String::as_str));
            query.or(tags.iter().fold(item, |item, text| item.and_tag(tag(text))))
        })
    }

    /// Derives from the log in front of an append whether it could rely on what it says.
    fn check(&self, before: &[RecordedEvent]) -> Result<(), Violation> {
        let query = self.query();
        let matches = |event: &&RecordedEvent| query.matches(&event.event_type, &event.tags);
        let passed = before.iter().filter(|event| event.position > self.after).find(matches);
        if let Some(event) = passed {
            let (after, position) = (self.after, event.position);
            return Err(Violation::ConditionPassed { after, position });
        }
        let known: Vec<_> = before.iter().filter(matches).collect();
        let reader = format!("that decided at {}", self.after);
        match known.last() {
            _ if known.len() == self.seen => Ok(()),
            Some(last) => Err(Violation::Missed { reader, position: last.position }),
            None => Err(Violation::Vanished { reader, position: self.after }),
        }
    }
}

/// Twenty writers over few types and tags; no append in the log stands behind a match that it
/// didn't know of.
pub async fn no_append_stands_behind_a_match_that_its_decision_had_not_read(log: &dyn LogFactory) {
    let plan = DecisionPlan { writers: 20, decisions_each: 15, seed: 7 };
    let report = decide_at_random(log, plan).await.unwrap();
    assert!(report.overtaken > 0, "nobody was in anybody's way: {report:?}");
    assert!(report.checked > plan.writers, "hardly anything was checked: {report:?}");
}

/// Lets the writers decide, over several handles, and checks the log that is left.
///
/// # Errors
/// The first [`Violation`] found.
pub async fn decide_at_random(
    log: &dyn LogFactory,
    plan: DecisionPlan,
) -> Result<DecisionReport, Violation> {
    let handles = [log.open().await, log.open().await, log.open().await];
    let writers = (0..plan.writers).map(|index| {
        let writer = Writer {
            store: handles[index % handles.len()].clone(),
            stream: stream(&format!("writer {index}")),
            dice: Dice(plan.seed.wrapping_mul(1_000).wrapping_add(index as u64)),
            report: DecisionReport::default(),
        };
        tokio::spawn(writer.run(plan.decisions_each))
    });
    let writers = try_join_all(writers.collect::<Vec<_>>()).await.expect("no writer panics");
    let mut report = DecisionReport::default();
    for writer in writers {
        let own = writer?;
        report.taken += own.taken;
        report.overtaken += own.overtaken;
    }
    report.checked = check_claims(&everything(&*handles[0], &Selection::All).await)?;
    Ok(report)
}

/// Derives every claim in the log again; how many there were.
fn check_claims(log: &[RecordedEvent]) -> Result<usize, Violation> {
    check_versions(log)?;
    let mut checked = 0;
    for (place, event) in log.iter().enumerate() {
        if let Some(claim) = event.data.to_value::<Option<Claim>>().expect("a claim or none") {
            claim.check(&log[..place])?;
            checked += 1;
        }
    }
    Ok(checked)
}

struct Writer {
    store: Arc<dyn EventStore>,
    stream: StreamId,
    dice: Dice,
    report: DecisionReport,
}

impl Writer {
    async fn run(mut self, decisions: usize) -> Result<DecisionReport, Violation> {
        for _ in 0..decisions {
            let append = if self.dice.roll(5) == 0 {
                let events = vec![self.event(None)];
                Append::to(self.stream.clone(), ExpectedVersion::Any, events)
            } else {
                self.decision().await?
            };
            match self.store.append(append).await {
                Ok(_) => self.report.taken += 1,
                Err(AppendError::ConditionFailed) => self.report.overtaken += 1,
                Err(error) => return Err(failed("appending", &error)),
            }
        }
        Ok(self.report)
    }

    /// Reads what a random query asks for, and appends one or two random events because of it.
    async fn decision(&mut self) -> Result<Append, Violation> {
        let query = self.query();
        let selection = Selection::Query(query.clone());
        let (mut after, mut seen) = (GlobalPosition::START, 0);
        loop {
            let page = self.store.read_all(&selection, after, 50).await;
            let page = page.map_err(|error| failed("reading", &error))?;
            after = page.read_to;
            seen += page.events.len();
            if page.is_last {
                break;
            }
        }
        for _ in 0..self.dice.roll(4) {
            tokio::task::yield_now().await;
        }
        let mut events = vec![self.event(Some(&Claim::of(&query, after, seen)))];
        if self.dice.roll(3) == 0 {
            events.push(self.event(None));
        }
        let append = Append::to(self.stream.clone(), ExpectedVersion::Any, events);
        Ok(append.with_condition(AppendCondition::new(query, after)))
    }

    fn event(&mut self, claim: Option<&Claim>) -> NewEvent {
        let event_type = TYPES[self.dice.roll(TYPES.len())];
        let event = NewEvent::new(event_type, &claim).unwrap();
        let tags = self.tags();
        tags.iter().fold(event, |event, text| event.with_tag(tag(text)))
    }

    fn query(&mut self) -> Query {
        (0..=self.dice.roll(2)).fold(Query::default(), |query, _| {
            let types = (0..self.dice.roll(3)).map(|_| TYPES[self.dice.roll(TYPES.len())]);
            let item = QueryItem::types(types.collect::<Vec<_>>());
            let tags = self.tags();
            query.or(tags.iter().fold(item, |item, text| item.and_tag(tag(text))))
        })
    }

    fn tags(&mut self) -> Vec<&'static str> {
        let first = self.dice.roll(TAGS.len());
        (0..self.dice.roll(3)).map(|step| TAGS[(first + step) % TAGS.len()]).collect()
    }
}

/// Random numbers that are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

fn failed(action: &'static str, error: &dyn std::error::Error) -> Violation {
    Violation::Failed { action, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use highwater::MemoryStore;

    use super::*;
    use crate::unconditional_store::UnconditionalLog;

    /// How often a store may be lucky. Once is nearly always enough.
    const ROUNDS: u64 = 10;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_store_that_drops_the_condition_is_caught() {
        for seed in 0..ROUNDS {
            let plan = DecisionPlan { writers: 20, decisions_each: 15, seed };
            match decide_at_random(&UnconditionalLog::default(), plan).await {
                Err(Violation::ConditionPassed { .. }) => return,
                other => println!("not caught by this round: {other:?}"),
            }
        }
        panic!("nothing was found in {ROUNDS} rounds: the oracle doesn't check what it should");
    }

    async fn log_of(claim: &Claim) -> Vec<RecordedEvent> {
        let store = MemoryStore::new();
        let (any, to) = (ExpectedVersion::Any, stream("a"));
        let event = |claim: Option<&Claim>| NewEvent::new("red", &claim).unwrap();
        let events = vec![event(None), event(None), event(Some(claim))];
        store.append(Append::to(to, any, events)).await.unwrap();
        everything(&store, &Selection::All).await
    }

    #[tokio::test]
    async fn a_claim_is_compared_with_the_log_on_both_sides_of_its_position() {
        let red = Query::of(QueryItem::types(["red"]));
        let claim = |after, seen| Claim::of(&red, GlobalPosition::new(after), seen);
        assert_eq!(check_claims(&log_of(&claim(2, 2)).await), Ok(1));
        let passed = check_claims(&log_of(&claim(1, 1)).await);
        assert!(matches!(passed, Err(Violation::ConditionPassed { .. })), "{passed:?}");
        let late = check_claims(&log_of(&claim(2, 1)).await);
        assert!(matches!(late, Err(Violation::Missed { .. })), "{late:?}");
    }
}
